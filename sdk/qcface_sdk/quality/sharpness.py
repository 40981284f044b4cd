"""Sharpness: how much of the inner face's contrast is fine detail.

Taken on the aligned crop, so that a small face counts as what the recogniser gets of it: enlarged, and therefore soft.
Divided by the contrast, because a dark or flat picture has small differences everywhere and need not be blurred.
"""

from __future__ import annotations

import cv2

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import INNER, FaceView


def fine_detail(view: FaceView) -> float | None:
    """Return the share of the contrast above a Gaussian of 1.5 pixels; 0 for a flat picture."""
    if view.luma is None or view.inner is None:
        return None
    spread = float(view.inner.std())
    if spread < 1e-3:
        return 0.0
    fine = view.luma - cv2.GaussianBlur(view.luma, (0, 0), 1.5)
    return float(fine[INNER].std()) / spread


MEASURE = Measure(
    "sharpness", "ratio", "Sharpness", fine_detail, Fault("blurred", "stand still, and clean or focus the lens")
)
