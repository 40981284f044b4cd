"""From a reading to a score of 0 to 100: knots that are data, with their origin beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qcface_sdk.quality.measure import Measure
from qcface_sdk.readings import Reading, Status

POOR_BELOW = 50
"""Score under which a reading is poor."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """Piecewise linear through `knots`, constant beyond their ends. Immutable."""

    knots: tuple[tuple[float, float], ...]
    """(reading, score 0..100); readings rise. Empty: nothing is scored, a reading at or under `note_below` is noted."""
    note_below: float | None
    """For measures without knots."""
    origin: str
    """Where the numbers come from."""

    def judge(self, measure: Measure, raw: float | None) -> Reading:
        """Return the reading with its score, status, reason and advice."""
        if raw is None or not math.isfinite(raw):
            return Reading(measure.name, None, measure.unit, None, Status.NOT_ASSESSED)
        if not self.knots:
            is_noted = self.note_below is not None and raw <= self.note_below
            status, reason = (Status.NOTE, measure.low.reason) if is_noted else (Status.GOOD, None)
            return Reading(measure.name, raw, measure.unit, None, status, reason)
        places, scores = zip(*self.knots, strict=True)
        score = round(float(np.interp(raw, places, scores)))
        if score >= POOR_BELOW:
            return Reading(measure.name, raw, measure.unit, score, Status.GOOD)
        is_high = measure.high is not None and raw > places[int(np.argmax(scores))]
        fault = measure.high if is_high and measure.high is not None else measure.low
        return Reading(measure.name, raw, measure.unit, score, Status.POOR, fault.reason, fault.advice)


def load_scoring(names: tuple[str, ...]) -> Mapping[str, Scoring]:
    """Return the scoring of each measure from ``scoring.json``, which must hold these names and no other."""
    document = json.loads((Path(__file__).parent / "scoring.json").read_text(encoding="utf-8"))
    if set(document) != set(names):
        raise ValueError(f"scoring.json holds {sorted(document)}, the measures are {sorted(names)}")
    return {
        name: Scoring(tuple((float(x), float(y)) for x, y in row["knots"]), row.get("note_below"), row["origin"])
        for name, row in document.items()
    }
