"""From what was typed to pictures: find the files, read them one by one, name the annotated copies."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import ImageReadError, InputError
from qcface_sdk.image import IMAGE_SUFFIXES, read_image

Image = NDArray[np.uint8]


def find_pictures(inputs: Sequence[str]) -> tuple[Path, ...]:
    """Return the picture files that `inputs` name, in the order given, each once.

    Parameters
    ----------
    inputs : sequence of str
        A file is taken whatever it is called. A folder is searched downwards for files with a picture's ending,
        hidden ones left out, in alphabetical order. Anything else is a pattern, in which ``**`` crosses folders.

    Raises
    ------
    ImageReadError
        If a name leads to no file, or a folder holds no picture.
    """
    found: dict[Path, None] = {}
    for name in inputs:
        for path in _expand(name):
            found.setdefault(path)
    return tuple(found)


def read_each(paths: Sequence[Path]) -> Iterator[tuple[Path, Image | InputError]]:
    """Yield each path with its picture, or with the error that kept it from being read."""
    for path in paths:
        try:
            yield path, read_image(path)
        except InputError as error:
            yield path, error


class AnnotatedFolder:
    """Writes pictures into one folder, each under a name of its own. Not thread-safe."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._used: set[str] = set()

    def save(self, source: Path, image: Image) -> Path:
        """Write `image` as PNG, named after `source`; return the file."""
        name, number = source.stem, 1
        while name in self._used:
            number += 1
            name = f"{source.stem}-{number}"
        self._used.add(name)
        file = self._folder / f"{name}.png"
        file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        return file


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        return _pictures_below(path)
    if path.exists() or not glob.has_magic(name):
        # A missing file is reported when it is read, with the others still worked on.
        return [path]
    matches = sorted(Path(match) for match in glob.glob(name, recursive=True) if not Path(match).is_dir())
    if not matches:
        raise ImageReadError(f"no file matches {name!r}; check the pattern")
    return matches


def _pictures_below(folder: Path) -> list[Path]:
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not pictures:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ImageReadError(f"folder {folder} holds no picture ({endings}); check the path")
    return pictures
