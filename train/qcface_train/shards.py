"""Tar shards of face crops, read once into a memory-mapped cache of pixels outside the source tree.

A training run sees every picture many times; decoding it once and mapping 37 KB of pixels costs less than a WebP
decoder beside two busy cores. The cache's name holds a hash of the shards, so other shards never meet an old cache.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 112
"""Pixels: side of an aligned crop."""

UNLABELLED = -1
"""Label of a picture without an identity."""

_LOG = logging.getLogger("qcface_train")


class DataError(ValueError):
    """Shards missing, empty or unusable."""


@dataclass(frozen=True, slots=True)
class FaceSet:
    """Aligned crops and their labels; the pixels are a read-only memory map, safe to share between threads."""

    images: NDArray[np.uint8]
    """(N, 112, 112, 3), RGB."""
    labels: NDArray[np.int64]
    """(N,); the shard's own label, `UNLABELLED` where there is none."""
    skipped: int
    """Records that could not be used (corrupt picture, wrong size, unreadable label)."""
    folder: Path | None
    """Where the cache lies; other caches of the same pictures (teacher embeddings) go beside it. None: not cached."""

    def __len__(self) -> int:
        return len(self.labels)


def open_faces(shards: Sequence[Path], cache: Path) -> FaceSet:
    """Map the pictures of some tar shards, building the cache first if need be.

    Parameters
    ----------
    shards : sequence of Path
        Tar files, compressed or not, with members ``KEY.webp`` (or jpg, png) and, for labelled ones, ``KEY.cls``.
    cache : Path
        Folder for caches; not inside the source tree.

    Returns
    -------
    FaceSet
        In shard order, then member order.

    Raises
    ------
    DataError
        If there is no shard, a shard cannot be read, or no usable picture is inside.
    """
    if not shards:
        raise DataError("expected at least one tar shard, got none; check the recipe's data folders")
    folder = cache / _hash_of(shards)
    if not (folder / "index.json").is_file():
        _build(shards, folder)
    index = json.loads((folder / "index.json").read_text())
    shape = (int(index["count"]), SIDE, SIDE, 3)
    images = np.memmap(folder / "images.u8", np.uint8, "r", shape=shape)
    labels = np.load(folder / "labels.npy")
    return FaceSet(images=images, labels=labels, skipped=int(index["skipped"]), folder=folder)


def _hash_of(shards: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for shard in shards:
        try:
            digest.update(hashlib.sha256(shard.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"shard {shard} cannot be read ({error}); check the recipe's data folders") from error
    return digest.hexdigest()[:20]


def _build(shards: Sequence[Path], folder: Path) -> None:
    """Decode all shards into `folder`, which appears only when complete."""
    building = folder.with_name(f"{folder.name}.building-{os.getpid()}")
    building.mkdir(parents=True, exist_ok=True)
    labels: list[int] = []
    skipped = 0
    try:
        with (building / "images.u8").open("wb") as pixels:
            for shard in shards:
                for key, picture, label in _records(shard):
                    image = _decode(picture)
                    if image is None or label is None:
                        skipped += 1
                        _LOG.warning(
                            "%s: record %s skipped (no picture of %dx%d or no label)", shard.name, key, SIDE, SIDE
                        )
                        continue
                    pixels.write(image.tobytes())
                    labels.append(label)
        if not labels:
            raise DataError(f"no usable picture in {len(shards)} shard(s), {skipped} record(s) skipped")
        np.save(building / "labels.npy", np.asarray(labels, np.int64))
        index = {"count": len(labels), "skipped": skipped, "shards": [shard.name for shard in shards]}
        (building / "index.json").write_text(json.dumps(index))
        try:
            building.rename(folder)
        except OSError:
            # Another process finished the same cache first; its bytes are equal.
            if not (folder / "index.json").is_file():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _records(shard: Path) -> Iterator[tuple[str, bytes, int | None]]:
    """Yield key, encoded picture and label (None if unreadable) of each record of one shard."""
    key, parts = "", dict[str, bytes]()
    try:
        with tarfile.open(shard, "r:*") as archive:
            for member in archive:
                if not member.isfile():
                    continue
                stem, _, extension = member.name.rpartition(".")
                if stem != key and parts:
                    yield key, *_split(parts)
                    parts = {}
                key = stem
                file = archive.extractfile(member)
                parts[extension] = file.read() if file is not None else b""
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"shard {shard} is not a whole tar file ({error}); fetch it again") from error
    if parts:
        yield key, *_split(parts)


def _split(parts: dict[str, bytes]) -> tuple[bytes, int | None]:
    picture = next((data for extension, data in parts.items() if extension != "cls"), b"")
    if "cls" not in parts:
        return picture, UNLABELLED
    try:
        label = int(parts["cls"])
    except ValueError:
        return picture, None
    return picture, label if label >= 0 else None


def _decode(data: bytes) -> NDArray[np.uint8] | None:
    """Decode to RGB; None for anything that is not a 112 x 112 picture."""
    if not data:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape != (SIDE, SIDE, 3):
        return None
    return np.ascontiguousarray(image[:, :, ::-1])
