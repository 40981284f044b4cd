"""Colour: whether there is any. A grey picture comes from an infrared or night camera; it is accepted, and said."""

from __future__ import annotations

import numpy as np

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import INNER, FaceView


def colourfulness(view: FaceView) -> float | None:
    """Return the mean difference of the largest and smallest channel of the inner face, 0..255."""
    if view.crop is None:
        return None
    inner = view.crop[INNER]
    return float(np.mean(inner.max(axis=2).astype(np.int16) - inner.min(axis=2)))


MEASURE = Measure("colour", "grey levels", "NaturalColour", colourfulness, Fault("grey", None))
