"""What a measure is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qcface_sdk.assessment.view import FaceView


@dataclass(frozen=True, slots=True)
class Measure:
    """A named function of a face, with what its number means."""

    name: str
    """Key in reports and in ``limits.json``."""
    unit: str
    """Unit of the number."""
    clause: str
    """Component of ISO/IEC 29794-5:2025 it corresponds to; empty where there is none."""
    advice: str
    """What to change where the number is too low (or bad, where it has one good side only)."""
    advice_high: str
    """What to change where the number is too high; empty where it cannot be."""
    raw: Callable[[FaceView], float]
    """The number of one face."""
