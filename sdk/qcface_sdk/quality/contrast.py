"""Contrast: how many grey levels the inner face uses."""

from __future__ import annotations

import numpy as np

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import FaceView


def entropy_bits(view: FaceView) -> float | None:
    """Return the entropy of the inner face's brightness histogram in bits, 0..8, as OFIQ's DynamicRange does."""
    if view.inner is None:
        return None
    counts = np.bincount(np.clip(view.inner, 0, 255).astype(np.uint8).ravel(), minlength=256)
    shares = counts[counts > 0] / view.inner.size
    return float(-(shares * np.log2(shares)).sum())


MEASURE = Measure(
    "contrast", "bits", "DynamicRange", entropy_bits, Fault("low_contrast", "even light on the face, and a clean lens")
)
