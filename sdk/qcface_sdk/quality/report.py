"""What is said of one face: a reading per measure, reasons and advice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qcface_sdk.readings import Reading, Status


@dataclass(frozen=True, slots=True)
class QualityReport:
    """Everything measured of one face."""

    quality: float | None
    """0..100 from the embedding's length, the number to decide by; ``None`` for a face that was not embedded."""
    readings: tuple[Reading, ...]
    """One per measure, in the order in which to act on them."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Words for what is poor, the most useful to change first; and notes, last."""
        poor = [reading.reason for reading in self.readings if reading.status is Status.POOR and reading.reason]
        notes = [reading.reason for reading in self.readings if reading.status is Status.NOTE and reading.reason]
        return (*dict.fromkeys(poor), *dict.fromkeys(notes))

    @property
    def advice(self) -> tuple[str, ...]:
        """What a person can change, the most useful first; empty where nothing is poor."""
        return tuple(dict.fromkeys(reading.advice for reading in self.readings if reading.advice))

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "quality": self.quality,
            "reasons": list(self.reasons),
            "advice": list(self.advice),
            "readings": [reading.to_dict() for reading in self.readings],
        }
