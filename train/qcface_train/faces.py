"""Aligned crops and their labels, wherever the pixels come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import QCFaceError
from qcface_sdk.image import decode_image

SIDE = 112
"""Pixels: side of an aligned crop."""

UNLABELLED = -1
"""Label of a picture without an identity."""


class DataError(ValueError):
    """Data missing, empty or unusable."""


class RecordError(DataError):
    """One record that holds no whole picture of the right size; the others are not touched by it."""


class Source(Protocol):
    """Encoded pictures that can be read in any order: a folder, a RecordIO file, tar shards."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64; `UNLABELLED` where there is no identity."""

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,) int64: number of the file that holds the record, so that an order can stay near one file."""

    def key(self, row: int) -> str:
        """Name a record in messages."""

    def fetch(self, row: int) -> bytes:
        """Return the encoded picture; raises RecordError if it cannot be read."""

    def fingerprint(self) -> str:
        """Return a hash that changes with the content; names the pixel cache."""


class Images(Protocol):
    """What a face set needs of its pixels: an array, a memory map, or records decoded when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, 112, 112, 3)."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Return one picture for a number, several for a slice or an array of numbers."""


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Aligned crops and their labels; reading is safe from several threads."""

    images: Images
    """(N, 112, 112, 3) uint8, RGB."""
    labels: NDArray[np.int64]
    """(N,); the source's own label, `UNLABELLED` where there is none."""
    skipped: int
    """Records that were left out because they could not be used (corrupt picture, wrong size, unreadable label)."""
    folder: Path | None
    """Where a cache lies; other caches of the same pictures (teacher embeddings) go beside it. None: not cached."""
    groups: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,), the file of each record; empty if all lie together."""

    def __len__(self) -> int:
        return len(self.labels)


def read_whole(faces: FaceSet, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures (K, 112, 112, 3) and labels (K,) of those of some rows that can be read."""
    if not isinstance(faces.images, StreamedImages):
        return np.asarray(faces.images[rows]), faces.labels[rows]
    pictures, labels = [], []
    for row in rows.tolist():
        try:
            pictures.append(faces.images[row])
        except RecordError:
            continue
        labels.append(faces.labels[row])
    return np.asarray(pictures, np.uint8).reshape(-1, SIDE, SIDE, 3), np.asarray(labels, np.int64)


class StreamedImages:
    """Pictures decoded each time they are asked for; needs no memory and no cache.

    Asking for a single damaged picture raises RecordError; so does asking for several of which one is damaged.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.shape = (len(source.labels), SIDE, SIDE, 3)

    def __getitem__(self, rows: Any, /) -> NDArray[np.uint8]:
        if isinstance(rows, (int, np.integer)):
            return decode_record(self._source, int(rows))
        chosen: Sequence[int] = np.arange(self.shape[0])[rows].tolist()
        pictures = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        for place, row in enumerate(chosen):
            pictures[place] = decode_record(self._source, row)
        return pictures


def decode_record(source: Source, row: int) -> NDArray[np.uint8]:
    """Return one picture of a source, RGB (112, 112, 3).

    Raises
    ------
    RecordError
        If it is corrupt, truncated or of another size; the message names the record.
    """
    data = source.fetch(row)
    try:
        image = decode_image(data, name=source.key(row))
    except QCFaceError as error:
        raise RecordError(str(error)) from error
    if image.shape != (SIDE, SIDE, 3):
        raise RecordError(f"{source.key(row)} is {image.shape[1]}x{image.shape[0]}, not an aligned {SIDE}x{SIDE} crop")
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
