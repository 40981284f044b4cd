"""Are these crops faces? Asked before activations are scaled by them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcface_export.errors import CalibrationError
from qcface_export.pictures import PictureSet
from qcface_sdk import FaceEngine

_LOOKED_AT = 40
_LEAST_SHARE = 0.5
_MARGIN = 56


def check_faces(pictures: PictureSet) -> None:
    """Refuse pictures in which the shipped detector hardly ever finds a face.

    Raises
    ------
    CalibrationError
        If it finds one in fewer than half of up to 40 pictures, spread evenly.
    """
    rows = np.linspace(0, len(pictures.crops) - 1, min(_LOOKED_AT, len(pictures.crops))).astype(int)
    with FaceEngine() as engine:
        found = sum(bool(engine.detect(_with_margin(pictures.crops[row]))) for row in rows)
    if found < _LEAST_SHARE * len(rows):
        raise CalibrationError(
            f"only {found} of {len(rows)} pictures looked at show a face; calibrate with aligned face crops like those "
            "a camera will send"
        )


def _with_margin(crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give the detector what it is used to: a face with something around it."""
    return np.pad(crop, [(_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0)], mode="edge")
