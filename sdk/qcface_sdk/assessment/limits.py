"""From raw numbers to scores of 0 to 100, by the limits of ``limits.json``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from qcface_sdk.assessment.report import Status
from qcface_sdk.errors import ManifestError
from qcface_sdk.strict_json import decode, parse_object

GOOD_FROM, FAIR_FROM = 50.0, 20.0
"""Scores from which a measure is good, or fair."""

_FILE = Path(__file__).with_name("limits.json")


@dataclass(frozen=True, slots=True)
class Limits:
    """Score of one measure: piecewise linear through `knots`, constant beyond their ends."""

    knots: tuple[tuple[float, float], ...]
    """(raw number, score 0..100), the raw number rising."""
    origin: str
    """Where they come from."""

    def __post_init__(self) -> None:
        if len(self.knots) < 2 or any(low[0] >= high[0] for low, high in pairwise(self.knots)):
            raise ManifestError("knots must be at least 2, rising in the raw number")
        if not all(0 <= score <= 100 for _, score in self.knots):
            raise ManifestError("knots must have scores in 0..100")

    def score(self, raw: float) -> float:
        """Return the score of a raw number; 0 for one that is not finite."""
        places, scores = zip(*self.knots, strict=True)
        return float(np.interp(raw, places, scores)) if np.isfinite(raw) else 0.0

    def is_high(self, raw: float) -> bool:
        """Return whether a raw number lies on the far side of the best ones."""
        best = max(score for _, score in self.knots)
        return raw > max(place for place, score in self.knots if score == best)


def status_of(score: float) -> Status:
    """Return what a score means."""
    if score >= GOOD_FROM:
        return Status.GOOD
    return Status.FAIR if score >= FAIR_FROM else Status.POOR


@dataclass(frozen=True, slots=True)
class _File:
    schema: int
    measures: Mapping[str, Limits]


@functools.cache
def load_limits() -> Mapping[str, Limits]:
    """Return the shipped limits by measure."""
    held = decode(_File, parse_object(_FILE.read_bytes(), _FILE.name), "")
    if held.schema != 1:
        raise ManifestError(f"{_FILE.name}: schema must be 1, got {held.schema}")
    return held.measures
