"""Truncation: how much of the face lies outside the picture."""

from __future__ import annotations

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import FaceView


def share_inside(view: FaceView) -> float | None:
    """Return the share, 0..1, of the box that lies inside the picture."""
    x1, y1, x2, y2 = (float(value) for value in view.bbox)
    area = (x2 - x1) * (y2 - y1)
    if area <= 0:
        return None
    width, height = view.size_wh
    # Whole numbers are pixel centres, so a picture reaches from -0.5 to its size - 0.5.
    across = min(x2, width - 0.5) - max(x1, -0.5)
    down = min(y2, height - 0.5) - max(y1, -0.5)
    return max(0.0, across) * max(0.0, down) / area


MEASURE = Measure(
    "cut_off",
    "share",
    "LeftwardCropOfTheFaceImage, RightwardCropOfTheFaceImage, MarginAboveOfTheFaceImage, MarginBelowOfTheFaceImage",
    share_inside,
    Fault("cut_off", "move into the middle of the picture"),
)
