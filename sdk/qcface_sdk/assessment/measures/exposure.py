"""Exposure of the face."""

from __future__ import annotations

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView


def mean_luminance(view: FaceView) -> float:
    """Return the mean grey value of the face, 0..255."""
    return float(view.luma[view.mask].mean())


MEASURE = Measure(
    name="exposure",
    unit="mean grey value, 0 to 255",
    clause="7.3.4.2 Luminance mean",
    advice="more light on the face",
    advice_high="less light on the face",
    raw=mean_luminance,
)
