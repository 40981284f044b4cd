"""Pixels on the first 8-bit grid without loss.

Network input is ``(pixel - mean) / std`` with a mean of 127.5, so on a grid of one step a pixel every value falls
half-way between two steps and is rounded by its parity: noise of half a step on every pixel. Shifting the input by that
half step puts each pixel on a step of its own; the first layer's bias takes the shift back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from qcface_sdk.manifest import InputContract


@dataclass(frozen=True, slots=True)
class PixelGrid:
    """The grid on which whole pixels lie."""

    step: float
    """One pixel level in network input."""
    shift: float
    """Added to network input before it is put on the grid."""
    zero_pixel: int
    """Pixel level that becomes 0 after the shift."""


def pixel_grid(preprocessing: InputContract) -> PixelGrid | None:
    """Return the grid of a preprocessing; None if the channels differ, so that no one grid fits them."""
    if len(set(preprocessing.mean)) != 1 or len(set(preprocessing.std)) != 1:
        return None
    mean, std = preprocessing.mean[0], preprocessing.std[0]
    zero = math.floor(mean)
    if not 0 <= zero <= 255:
        return None
    return PixelGrid(1.0 / std, (mean - zero) / std, zero)
