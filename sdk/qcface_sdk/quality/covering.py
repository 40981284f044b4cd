"""Covering: a hint that sunglasses or a mask hide the eyes or the mouth.

Eyes and mouth are the most structured parts of a face. Where one of them is smoother than the rest, something plain
lies over it. It is a hint: patterned masks pass, and a closed mouth on a soft picture may not.
"""

from __future__ import annotations

import cv2
import numpy as np

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import INNER, FaceView

_EYES = (slice(42, 62), slice(26, 86))
_MOUTH = (slice(80, 104), slice(36, 76))


def _structure(view: FaceView, part: tuple[slice, slice]) -> float | None:
    if view.luma is None:
        return None
    across = cv2.Sobel(view.luma, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(view.luma, cv2.CV_32F, 0, 1)
    strength = np.hypot(across, down)
    whole = float(strength[INNER].mean())
    return None if whole < 1e-3 else float(strength[part].mean()) / whole


def eye_structure(view: FaceView) -> float | None:
    """Return the mean gradient around the eyes, in shares of the inner face's."""
    return _structure(view, _EYES)


def mouth_structure(view: FaceView) -> float | None:
    """Return the mean gradient around the mouth, in shares of the inner face's."""
    return _structure(view, _MOUTH)


EYES = Measure(
    "eyes",
    "ratio",
    "EyesVisible",
    eye_structure,
    Fault("eyes_covered", "take off what covers the eyes"),
)
MOUTH = Measure(
    "mouth",
    "ratio",
    "MouthOcclusionPrevention",
    mouth_structure,
    Fault("mouth_covered", "take off what covers the mouth"),
)
