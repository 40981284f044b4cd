"""What the quality measures say of one face."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Status(str, Enum):
    """What a measure means for recognition."""

    GOOD = "good"
    """As in a good picture."""

    FAIR = "fair"
    """Worse than most good pictures; recognition may suffer."""

    POOR = "poor"
    """Outside what good pictures show; take another picture."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measure of one face."""

    name: str
    """``size``, ``sharpness``, ..."""
    raw: float
    """The number itself, in `unit`."""
    unit: str
    """What `raw` is."""
    score: float
    """0..100, higher is better, by the limits of ``limits.json``."""
    status: Status
    """Good, fair or poor."""
    clause: str
    """Component of ISO/IEC 29794-5:2025 it corresponds to, or an empty text."""
    advice: str
    """What to change; empty where nothing needs to."""


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All measures of one face, in a fixed order. Immutable."""

    measures: tuple[Measurement, ...]
    """One of each kind."""
    infrared: bool
    """Whether the picture has no colour, as that of a night camera: accepted, and no fault."""

    def __getitem__(self, name: str) -> Measurement:
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise KeyError(f"no measure {name!r}; there are {', '.join(measure.name for measure in self.measures)}")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Names of the measures that are poor, worst first."""
        poor = [measure for measure in self.measures if measure.status is Status.POOR]
        return tuple(measure.name for measure in sorted(poor, key=lambda measure: measure.score))

    @property
    def advice(self) -> tuple[str, ...]:
        """What to change, the worst measure first; for a person in front of a door."""
        found = [measure for measure in self.measures if measure.status is not Status.GOOD and measure.advice]
        return tuple(dict.fromkeys(measure.advice for measure in sorted(found, key=lambda measure: measure.score)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "measures": {
                measure.name: {
                    "raw": round(measure.raw, 4),
                    "unit": measure.unit,
                    "score": round(measure.score, 1),
                    "status": measure.status.value,
                    "clause": measure.clause,
                }
                for measure in self.measures
            },
            "reasons": list(self.reasons),
            "advice": list(self.advice),
            "infrared": self.infrared,
        }
