"""From the patterns of a recipe to one source: each kind of data is recognised by its name."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qcface_train.faces import UNLABELLED, DataError, Source
from qcface_train.sources.folder import FolderSource
from qcface_train.sources.recordio import RecordIOSource
from qcface_train.sources.tar import TarSource


class JoinedSource:
    """Several sources as one; each one's labels follow those of the one before, so no two mean the same person."""

    def __init__(self, parts: Sequence[Source]) -> None:
        self._parts = tuple(parts)
        self._starts = [0, *np.cumsum([len(part.labels) for part in parts]).tolist()]
        labels, groups, label_start, group_start = [], [], 0, 0
        for part in parts:
            labels.append(np.where(part.labels == UNLABELLED, UNLABELLED, part.labels + label_start))
            groups.append(part.groups + group_start)
            label_start += int(part.labels.max(initial=-1)) + 1
            group_start += int(part.groups.max(initial=-1)) + 1
        self.labels = np.concatenate(labels)
        self.groups = np.concatenate(groups)
        self.skipped = sum(int(getattr(part, "skipped", 0)) for part in parts)

    def _place(self, row: int) -> tuple[Source, int]:
        number = bisect.bisect_right(self._starts, row) - 1
        return self._parts[number], row - self._starts[number]

    def key(self, row: int) -> str:
        """Name a record in messages."""
        part, inside = self._place(row)
        return part.key(inside)

    def fetch(self, row: int) -> bytes:
        """Return the encoded picture; raises RecordError if it cannot be read."""
        part, inside = self._place(row)
        return part.fetch(inside)

    def fingerprint(self) -> str:
        """Return a hash that changes with the content of any part."""
        if len(self._parts) == 1:
            return self._parts[0].fingerprint()
        return hashlib.sha256("".join(part.fingerprint() for part in self._parts).encode()).hexdigest()


def open_source(patterns: Sequence[str], base: Path, window: int = 0, *, mixed: bool = False) -> JoinedSource:
    """Open everything that some patterns name.

    Parameters
    ----------
    patterns : sequence of str
        Patterns below `base`. A match is a RecordIO file (``*.rec``, or a folder with ``train.rec``), an image
        folder (any other folder) or a tar shard (any other file). All shards share one set of labels, and so do all
        image folders (the name of the inner folder is the identity); each RecordIO file has its own.
    base : Path
        Folder of the data.
    window : int
        Shards that reading stays within at a time; 0 for no limit.
    mixed : bool
        Whether records will be asked for in mixed order; compressed shards then need a window.

    Raises
    ------
    DataError
        If a pattern matches nothing, or what it matches cannot be used.
    """
    shards: list[Path] = []
    folders: list[Path] = []
    records: list[Path] = []
    for pattern in patterns:
        matches = sorted(base.glob(pattern))
        if not matches:
            raise DataError(f"nothing in {base} matches {pattern!r}; check the recipe's data.shards and --data")
        for match in matches:
            if match.suffix == ".rec":
                records.append(match)
            elif (match / "train.rec").is_file():
                records.append(match / "train.rec")
            elif match.is_dir():
                folders.append(match)
            else:
                shards.append(match)
    parts: list[Source] = []
    if shards:
        tar = TarSource(shards, unpacked=max(2, window + 1))
        if mixed and not window and tar.has_compressed:
            raise DataError(
                "compressed shards cannot be read in any order: set data.window (shards unpacked in memory at a time) "
                "or data.read: cache, or store the shards as plain tar files"
            )
        parts.append(tar)
    if folders:
        parts.append(FolderSource(folders))
    parts += [RecordIOSource(path) for path in records]
    if not sum(len(part.labels) for part in parts):
        raise DataError(f"no usable picture in what {', '.join(patterns)} match in {base}")
    return JoinedSource(parts)
