"""Contrast of the face."""

from __future__ import annotations

import numpy as np

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView


def dynamic_range(view: FaceView) -> float:
    """Return how far the grey values of the face reach from their 5th to their 95th percentile, 0..255."""
    low, high = np.percentile(view.luma[view.mask], [5, 95])
    return float(high - low)


MEASURE = Measure(
    name="contrast",
    unit="grey values from the 5th to the 95th percentile",
    clause="7.3.7 Dynamic range",
    advice="light the face evenly, and turn away from bright windows",
    advice_high="",
    raw=dynamic_range,
)
