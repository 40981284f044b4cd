"""Colour, or its absence: a night camera's picture is grey, which is no fault."""

from __future__ import annotations

import numpy as np

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView

INFRARED_BELOW = 3.0
"""Mean spread of the channels in grey values; a JPEG of a grey picture stays below 2."""


def channel_spread(view: FaceView) -> float:
    """Return the mean difference of the largest and the smallest colour channel over the face, 0..255."""
    pixels = view.crop[view.mask].astype(np.int16)
    return float((pixels.max(axis=1) - pixels.min(axis=1)).mean())


MEASURE = Measure(
    name="colour",
    unit="mean spread of the colour channels",
    clause="7.3.10 Natural colour",
    advice="",
    advice_high="",
    raw=channel_spread,
)
