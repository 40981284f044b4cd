"""From photographs to training crops: find the face, bring it onto the reference points, keep it without loss.

The crops are made by the detector and the warp that a door uses, so that the network is trained on what it will see.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.alignment import align
from qcface_sdk.errors import InputError
from qcface_sdk.image import read_image
from qcface_sdk.results import Face
from qcface_train.faces import DataError
from qcface_train.sources.folder import PICTURE_ENDINGS

_LOG = logging.getLogger("qcface_train")

REASONS = ("unreadable", "no face", "several faces", "face too small")
"""Why a photograph gives no crop."""


class Detector(Protocol):
    """Finds faces; `qcface_sdk.FaceEngine` does."""

    def detect(self, image: NDArray[np.uint8], /) -> tuple[Face, ...]:
        """Return the faces of a BGR picture."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """What became of a folder of photographs."""

    written: int
    """New crops."""
    kept: int
    """Crops that were there from an earlier time."""
    left_out: dict[str, int]
    """Photographs without a crop, by reason (a key of `REASONS`)."""


def align_photographs(photographs: Path, out: Path, detector: Detector, *, smallest: float = 40.0) -> Alignment:
    """Write an aligned crop for every photograph with exactly one face, under the same folders.

    A photograph of several people is left out, because a stranger among an identity's pictures teaches the wrong thing.

    Parameters
    ----------
    photographs : Path
        Folder of ``IDENTITY/picture.jpg``, or of pictures without identity.
    out : Path
        Folder for ``IDENTITY/picture.jpg.png``; what is there already is not made again.
    detector : Detector
        Finds the faces.
    smallest : float
        Pixels: faces that are less wide hold too little to learn from.

    Raises
    ------
    DataError
        If `photographs` is no folder or holds no picture, or `out` lies inside it.
    """
    if not photographs.is_dir():
        raise DataError(f"{photographs} is not a folder; give one of IDENTITY/picture.jpg")
    if out.resolve().is_relative_to(photographs.resolve()):
        raise DataError(f"{out} lies inside {photographs}; crops there would be taken for photographs the next time")
    paths = sorted(path for path in photographs.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    if not paths:
        raise DataError(f"no picture ({', '.join(sorted(PICTURE_ENDINGS))}) below {photographs}")
    written = kept = 0
    left_out: Counter[str] = Counter()
    for path in paths:
        own = path.relative_to(photographs)
        place = out / own.parent / f"{own.name}.png"
        if place.is_file():
            kept += 1
            continue
        crop = _crop(path, detector, smallest)
        if isinstance(crop, str):
            left_out[crop] += 1
            _LOG.info("%s: %s", own, crop)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        _write(place, crop)
        written += 1
    return Alignment(written, kept, {reason: left_out[reason] for reason in REASONS if left_out[reason]})


def _crop(path: Path, detector: Detector, smallest: float) -> NDArray[np.uint8] | str:
    """Return the crop, or why there is none."""
    try:
        image = read_image(path)
        faces = detector.detect(image)
    except InputError as error:
        _LOG.warning("%s", error)
        return "unreadable"
    if len(faces) != 1:
        return "several faces" if faces else "no face"
    if float(faces[0].bbox[2] - faces[0].bbox[0]) < smallest:
        return "face too small"
    (crop,) = align(image, faces[0].kps)
    return np.asarray(crop, np.uint8)


def _write(place: Path, crop: NDArray[np.uint8]) -> None:
    building = place.with_suffix(".building")
    _, data = cv2.imencode(".png", crop)
    building.write_bytes(data.tobytes())
    building.replace(place)
