"""What a measure is: a name, how it is read off a face, and what a poor reading is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qcface_sdk.quality.view import FaceView


@dataclass(frozen=True, slots=True)
class Fault:
    """A poor reading in a word and a sentence."""

    reason: str
    """Lower-case word, the same wherever the SDK speaks of it."""
    advice: str | None
    """What a person can change; ``None`` where it is no fault."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One property of a face's picture."""

    name: str
    """Key of its scoring in ``scoring.json``."""
    unit: str
    """Unit of what `read` returns."""
    iso: str | None
    """Component of ISO/IEC 29794-5 that measures the same property; ``None`` if there is none."""
    read: Callable[[FaceView], float | None]
    """Takes the reading; ``None`` if it cannot."""
    low: Fault
    """What a poor reading below the best range is."""
    high: Fault | None = None
    """What a poor reading above it is; ``None`` if more is never worse."""
