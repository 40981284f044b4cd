"""How much of the face lies inside the picture."""

from __future__ import annotations

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView


def share_inside(view: FaceView) -> float:
    """Return the share of the face's box that lies inside the picture, 0..1."""
    x1, y1, x2, y2 = (float(value) for value in view.bbox)
    width, height = view.frame_wh
    # Whole numbers are pixel centres: the picture reaches from -0.5 to its size less 0.5.
    across = min(x2, width - 0.5) - max(x1, -0.5)
    down = min(y2, height - 0.5) - max(y1, -0.5)
    area = (x2 - x1) * (y2 - y1)
    return max(across, 0.0) * max(down, 0.0) / area if area > 0 else 0.0


MEASURE = Measure(
    name="truncation",
    unit="share of the box inside the picture",
    clause="7.4.10 Crop of the face image",
    advice="step into the middle of the picture",
    advice_high="",
    raw=share_inside,
)
