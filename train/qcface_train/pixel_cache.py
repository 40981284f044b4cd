"""Decoded pictures of a source in one memory-mapped file outside the source tree.

A training run sees every picture many times; decoding it once and mapping 37 KB of pixels costs less than a
decoder beside two busy cores. The cache's name holds a hash of the data, so other data never meet an old cache.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np

from qcface_train.faces import SIDE, DataError, FaceSet, RecordError, Source, StreamedImages, decode_record

_LOG = logging.getLogger("qcface_train")


def open_streamed(source: Source) -> FaceSet:
    """Return a face set whose pictures are decoded each time they are asked for."""
    return FaceSet(
        images=StreamedImages(source),
        labels=source.labels,
        skipped=int(getattr(source, "skipped", 0)),
        folder=None,
        groups=source.groups,
    )


def open_cached(source: Source, cache: Path) -> FaceSet:
    """Map the decoded pictures of a source, building the cache first if need be.

    Parameters
    ----------
    source : Source
        The encoded pictures.
    cache : Path
        Folder for caches; not inside the source tree.

    Returns
    -------
    FaceSet
        In the source's order, without the records that hold no usable picture.

    Raises
    ------
    DataError
        If no usable picture is inside.
    """
    folder = cache / source.fingerprint()[:20]
    if not (folder / "index.json").is_file():
        _build(source, folder)
    index = json.loads((folder / "index.json").read_text())
    images = np.memmap(folder / "images.u8", np.uint8, "r", shape=(int(index["count"]), SIDE, SIDE, 3))
    return FaceSet(images, np.load(folder / "labels.npy"), int(index["skipped"]), folder)


def _build(source: Source, folder: Path) -> None:
    """Decode everything into `folder`, which appears only when complete."""
    building = folder.with_name(f"{folder.name}.building-{os.getpid()}")
    building.mkdir(parents=True, exist_ok=True)
    labels: list[int] = []
    skipped = int(getattr(source, "skipped", 0))
    try:
        with (building / "images.u8").open("wb") as pixels:
            for row, label in enumerate(source.labels.tolist()):
                try:
                    image = decode_record(source, row)
                except RecordError as error:
                    skipped += 1
                    _LOG.warning("record skipped: %s", error)
                    continue
                pixels.write(image.tobytes())
                labels.append(label)
        if not labels:
            raise DataError(f"no usable picture, {skipped} record(s) skipped")
        np.save(building / "labels.npy", np.asarray(labels, np.int64))
        (building / "index.json").write_text(json.dumps({"count": len(labels), "skipped": skipped}))
        try:
            building.rename(folder)
        except OSError:
            # Another process finished the same cache first; its bytes are equal.
            if not (folder / "index.json").is_file():
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
