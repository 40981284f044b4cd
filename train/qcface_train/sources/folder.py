"""Image folders: one folder of pictures for each identity, or a plain folder of pictures without identities."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qcface_train.faces import UNLABELLED, DataError, RecordError

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""File name endings that are taken for pictures, in lower case."""


class FolderSource:
    """Pictures below some folders: ``ROOT/IDENTITY/*.jpg`` is labelled, ``ROOT/*.jpg`` is not.

    Parameters
    ----------
    roots : sequence of Path
        Folders. An identity is its folder's name, so the same name below two roots is one person.

    Raises
    ------
    DataError
        If a root is no folder, or there is no picture at all.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._paths: list[Path] = []
        groups: list[int] = []
        for number, root in enumerate(roots):
            if not root.is_dir():
                raise DataError(f"{root} is not a folder; check the recipe's data.shards and --data")
            found = sorted(path for path in root.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
            self._paths += found
            groups += [number] * len(found)
        if not self._paths:
            raise DataError(f"no picture ({', '.join(sorted(PICTURE_ENDINGS))}) below {', '.join(map(str, roots))}")
        plain = set(roots)
        names = sorted({path.parent.name for path in self._paths if path.parent not in plain})
        numbers = {name: number for number, name in enumerate(names)}
        self.labels = np.asarray(
            [UNLABELLED if path.parent in plain else numbers[path.parent.name] for path in self._paths], np.int64
        )
        self.groups = np.asarray(groups, np.int64)

    def key(self, row: int) -> str:
        """Name a record in messages."""
        return str(self._paths[row])

    def fetch(self, row: int) -> bytes:
        """Return the encoded picture; raises RecordError if the file cannot be read."""
        try:
            return self._paths[row].read_bytes()
        except OSError as error:
            raise RecordError(f"{self._paths[row]} cannot be read ({error})") from error

    def fingerprint(self) -> str:
        """Return a hash over names, sizes and times of change of all files."""
        digest = hashlib.sha256()
        for path in self._paths:
            state = path.stat()
            digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
        return digest.hexdigest()
