"""Brightness: the mean of the inner face."""

from __future__ import annotations

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import FaceView


def mean_luma(view: FaceView) -> float | None:
    """Return the mean brightness of the inner face, 0..255."""
    return None if view.inner is None else float(view.inner.mean())


MEASURE = Measure(
    "brightness",
    "grey levels",
    "LuminanceMean",
    mean_luma,
    Fault("too_dark", "more light on the face"),
    Fault("too_bright", "less light on the face, or none from behind the camera"),
)
