from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.quality import MEASURES, Status
from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.scoring import Scoring, load_scoring

TWO_SIDED = Measure("light", "u", None, lambda view: None, Fault("low", "up"), Fault("high", "down"))
HILL = Scoring(((0.0, 0.0), (10.0, 100.0), (20.0, 0.0)), None, "test")


@pytest.mark.parametrize(
    ("raw", "score", "reason"),
    [(2, 20, "low"), (5, 50, None), (10, 100, None), (15, 50, None), (18, 20, "high"), (99, 0, "high")],
)
def test_score_status_and_side(raw: float, score: int, reason: str | None) -> None:
    reading = HILL.judge(TWO_SIDED, raw)
    assert (reading.score, reading.reason) == (score, reason)
    assert reading.status is (Status.GOOD if reason is None else Status.POOR)
    assert reading.advice == {None: None, "low": "up", "high": "down"}[reason]


@pytest.mark.parametrize("raw", [None, math.nan, math.inf])
def test_what_cannot_be_read_is_not_assessed(raw: float | None) -> None:
    reading = HILL.judge(TWO_SIDED, raw)
    assert (reading.status, reading.score, reading.raw) == (Status.NOT_ASSESSED, None, None)


def test_note_is_no_fault() -> None:
    scoring = Scoring((), 4.0, "test")
    reading = scoring.judge(Measure("colour", "u", None, lambda view: None, Fault("grey", None)), 1.0)
    assert (reading.status, reading.reason, reading.advice, reading.score) == (Status.NOTE, "grey", None, None)


@given(st.sampled_from(MEASURES), st.floats(-1e6, 1e6))
def test_shipped_scores_lie_in_range(measure: Measure, raw: float) -> None:
    reading = load_scoring(tuple(one.name for one in MEASURES))[measure.name].judge(measure, raw)
    assert reading.score is None or 0 <= reading.score <= 100


def test_scoring_file_must_match_the_measures() -> None:
    with pytest.raises(ValueError, match=r"scoring\.json"):
        load_scoring(("sharpness",))
