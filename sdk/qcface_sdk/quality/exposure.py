"""Exposure: how much of the inner face is blown out or black, and carries no detail."""

from __future__ import annotations

import numpy as np

from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import FaceView

# ISO/IEC 29794-5's reference implementation (OFIQ) counts 0..25 as under- and 247..255 as over-exposed.
_DARK, _BRIGHT = 25, 247


def clipped_share(view: FaceView) -> float | None:
    """Return the share of the inner face that is over-exposed, positive, or under-exposed, negative: the larger one."""
    if view.inner is None:
        return None
    dark, bright = float(np.mean(view.inner <= _DARK)), float(np.mean(view.inner >= _BRIGHT))
    return bright if bright > dark else -dark


MEASURE = Measure(
    "exposure",
    "share",
    "UnderExposurePrevention, OverExposurePrevention",
    clipped_share,
    Fault("under_exposed", "more light on the face, less behind it"),
    Fault("over_exposed", "less direct light on the face"),
)
