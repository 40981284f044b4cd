"""Size: how many pixels the face has."""

from __future__ import annotations

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import FaceView


def shorter_side(view: FaceView) -> float:
    """Return the shorter side of the box in pixels of the picture."""
    x1, y1, x2, y2 = (float(value) for value in view.bbox)
    return min(x2 - x1, y2 - y1)


MEASURE = Measure("face_size", "px", "HeadSize", shorter_side, Fault("too_small", "come closer to the camera"))
