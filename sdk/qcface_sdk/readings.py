"""What one measure of a face found (`qcface_sdk.quality`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Status(str, Enum):
    """What a reading means."""

    GOOD = "good"
    """Nothing to change."""
    POOR = "poor"
    """Likely to make recognition worse; `Reading.advice` says what to change."""
    NOTE = "note"
    """Worth knowing, no fault: a grey picture, for example."""
    NOT_ASSESSED = "not_assessed"
    """It could not be measured."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One measure of one face."""

    name: str
    """Name of the measure."""
    raw: float | None
    """What was measured, in `unit`; ``None`` if it could not be."""
    unit: str
    """Unit of `raw`."""
    score: int | None
    """0..100, higher is better; below 50 is poor. ``None`` where nothing is scored."""
    status: Status
    """What it means."""
    reason: str | None = None
    """Lower-case word such as ``blurred``, where the status is poor or note."""
    advice: str | None = None
    """What a person can change, where the status is poor."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        raw = None if self.raw is None else round(self.raw, 4)
        return {
            "name": self.name,
            "raw": raw,
            "unit": self.unit,
            "score": self.score,
            "status": self.status.value,
            "reason": self.reason,
            "advice": self.advice,
        }
