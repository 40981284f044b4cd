"""One decision for comparisons and searches; only accept opens, and a retry says what to change."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.decision import Decision
from qcface_sdk.matching import compare_faces
from qcface_sdk.quality import QualityReport, Reading, Status
from qcface_sdk.results import Candidate, Face, Identification, Match, Outcome, Reason

REPORT = QualityReport(
    5.0,
    (
        Reading("brightness", 20.0, "", 5, Status.POOR, "dark", "more light on the face"),
        Reading("face_size", 9.0, "px", 10, Status.POOR, "small", "come closer"),
    ),
)


def face(direction: list[float], quality: float = 90.0) -> Face:
    return Face(np.zeros(4), np.zeros((5, 2)), 0.9, np.array(direction), "qc1-a", 0.5, quality)


def compare(a: Face | None, b: Face | None, *, grey_from: float | None = None) -> Match:
    return compare_faces(a, b, threshold=0.5, fmr=1e-4, retry_below=20.0, contract="qc1-a", grey_from=grey_from)


def test_accept_opens_and_has_nothing_to_advise() -> None:
    decision = Decision.of(compare(face([1, 0]), face([1, 0.1])))
    assert decision.opens
    assert decision.advice == ()
    assert (decision.subject, decision.fmr, decision.quality) == (None, 1e-4, 90.0)
    json.dumps(decision.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("grey_from", "outcome"), [(None, Outcome.REJECT), (0.3, Outcome.RETRY), (0.45, Outcome.REJECT)]
)
def test_grey_zone_below_the_threshold_asks_again(grey_from: float | None, outcome: Outcome) -> None:
    match = compare(face([0.4, (1 - 0.16) ** 0.5]), face([1, 0]), grey_from=grey_from)
    assert match.similarity == pytest.approx(0.4)
    assert match.decision is outcome
    assert (Reason.GREY_ZONE in match.reason) is (outcome is Outcome.RETRY)
    assert Reason.BELOW_THRESHOLD in match.reason
    assert Decision.of(match).advice == (("look into the camera once more",) if outcome is Outcome.RETRY else ())


@given(st.floats(-1, 1), st.floats(0, 100), st.floats(-1, 0.5))
def test_below_the_threshold_or_the_gate_nothing_opens(similarity: float, quality: float, grey_from: float) -> None:
    probe = face([similarity, (1 - similarity**2) ** 0.5], quality)
    match = compare(probe, face([1.0, 0.0]), grey_from=grey_from)
    decision = Decision.of(match)
    assert decision.opens == (match.similarity >= 0.5 and quality >= 20)
    assert bool(decision.advice) == (decision.outcome is Outcome.RETRY)


@pytest.mark.parametrize("failed", [None, face([np.nan, 0.0]), face([0.0, 0.0]), face([np.inf, 1.0])])
def test_a_failed_face_compares_and_never_matches(failed: Face | None) -> None:
    for pair in ((failed, face([1, 0])), (face([1, 0]), failed), (failed, failed)):
        decision = Decision.of(compare(*pair, grey_from=-1.0))
        assert decision.outcome is Outcome.RETRY
        assert not decision.opens
        assert decision.similarity == -1.0
        assert decision.advice


def test_report_of_the_probe_replaces_the_general_advice() -> None:
    match = compare(face([1, 0], quality=5.0), face([1, 0]))
    assert Decision.of(match).advice == ("come closer, hold still, and look into the camera",)
    assert Decision.of(match, report=REPORT).advice == ("more light on the face", "come closer")
    nobody = compare(None, face([1, 0]))
    assert Decision.of(nobody, report=REPORT).advice == ("step in front of the camera and look into it",)


def test_advice_names_the_side_that_has_no_face_or_a_poor_one() -> None:
    step_up, enrol = "step in front of the camera and look into it", "enrol again with a better picture"
    assert Decision.of(compare(None, face([1, 0]))).advice == (step_up,)
    assert Decision.of(compare(face([1, 0]), None)).advice == (enrol,)
    assert Decision.of(compare(None, None)).advice == (step_up, enrol)
    # What is wrong with the probe does not help where only the reference is too poor.
    assert Decision.of(compare(face([1, 0]), face([1, 0], quality=5.0)), report=REPORT).advice == (enrol,)


def test_search_gives_the_same_form() -> None:
    found = Identification((Candidate("ann", 0.7), Candidate("bob", 0.2)), 0.5, Outcome.ACCEPT, Reason.NONE, "qc1-a")
    decision = Decision.of(found, probe=face([1, 0], 77.0))
    assert (decision.subject, decision.similarity, decision.quality) == ("ann", 0.7, 77.0)
    empty = Identification((), 0.5, Outcome.REJECT, Reason.EMPTY_GALLERY, None)
    assert (Decision.of(empty).subject, Decision.of(empty).similarity) == (None, -1.0)
    assert not Decision.of(empty).opens
