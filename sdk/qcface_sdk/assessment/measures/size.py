"""Size of the face in the picture."""

from __future__ import annotations

import numpy as np

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView


def face_pixels(view: FaceView) -> float:
    """Return the distance between the eyes in pixels of the picture; 35 px of it fill the network's crop."""
    return float(np.linalg.norm(view.kps[1].astype(np.float64) - view.kps[0]))


MEASURE = Measure(
    name="size",
    unit="pixels between the eyes",
    clause="7.4.8 Inter-eye distance",
    advice="come closer",
    advice_high="",
    raw=face_pixels,
)
