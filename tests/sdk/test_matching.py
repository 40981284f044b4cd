from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import ContractMismatchError, InputError, OptionError, ThresholdUnavailableError
from qcface_sdk.matching import GREY_FACTOR, compare_faces, cosine, grey_zone_from
from qcface_sdk.results import Face, Match, Outcome, Reason

BOX = np.array([0, 0, 50, 60], np.float32)
POINTS = np.zeros((5, 2), np.float32)


def face(*vector: float, quality: float | None = 80.0, contract: str = "qc1-a") -> Face:
    return Face(BOX, POINTS, 0.9, np.array(vector, np.float32), contract, 0.5, quality)


def compare(a: Face | None, b: Face | None) -> Match:
    return compare_faces(a, b, threshold=0.5, fmr=1e-4, retry_below=20.0, contract="qc1-a")


def test_compare_faces_above_threshold_accepts() -> None:
    match = compare(face(2, 0), face(5, 0.1))
    assert (match.decision, match.reason) == (Outcome.ACCEPT, Reason.NONE)
    assert match.similarity == pytest.approx(5 / np.hypot(5, 0.1))


def test_compare_faces_at_threshold_accepts() -> None:
    # cos 60 degrees: exactly the threshold in float64 for these components
    assert (
        compare_faces(
            face(1, 0),
            face(1, 1),
            threshold=cosine(np.float32([1, 0]), np.float32([1, 1])) or 0,
            fmr=1e-4,
            retry_below=0,
            contract="qc1-a",
        ).decision
        is Outcome.ACCEPT
    )


def test_compare_faces_below_threshold_rejects() -> None:
    match = compare(face(1, 0), face(0, 1))
    assert (match.decision, match.reason) == (Outcome.REJECT, Reason.BELOW_THRESHOLD)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (None, face(1, 0), Reason.NO_FACE),
        (face(1, 0), None, Reason.NO_FACE),
        (face(1, 0, quality=19.9), face(1, 0), Reason.LOW_QUALITY_A),
        (face(1, 0), face(1, 0, quality=0.0), Reason.LOW_QUALITY_B),
        (face(1, 0), face(1, 0, quality=None), Reason.LOW_QUALITY_B),
        (face(1, 0, quality=np.nan), face(1, 0), Reason.LOW_QUALITY_A),
        (face(0, 0), face(1, 0), Reason.NOT_FINITE),
        (face(np.nan, 0), face(1, 0), Reason.NOT_FINITE),
        (face(np.inf, 0), face(1, 0), Reason.NOT_FINITE),
        (face(0, 1, quality=1.0), face(1, 0), Reason.LOW_QUALITY_A | Reason.BELOW_THRESHOLD),
    ],
)
def test_compare_faces_that_cannot_be_trusted_asks_to_retry(a: Face | None, b: Face | None, reason: Reason) -> None:
    match = compare(a, b)
    assert (match.decision, match.reason) == (Outcome.RETRY, reason)


def test_compare_faces_of_another_contract_is_refused() -> None:
    with pytest.raises(ContractMismatchError, match="enrol again"):
        compare(face(1, 0), face(1, 0, contract="qc1-b"))


def test_compare_faces_without_embedding_is_refused() -> None:
    with pytest.raises(InputError, match="engine.get"):
        compare(face(1, 0), Face(BOX, POINTS, 0.9))


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4),
    st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4),
)
def test_cosine_of_any_vectors_is_symmetric_and_bounded(x: list[float], y: list[float]) -> None:
    a, b = np.array(x, np.float32), np.array(y, np.float32)
    forward = cosine(a, b)
    assert forward == cosine(b, a)
    assert forward is None or -1 <= forward <= 1


def test_match_to_dict_is_plain() -> None:
    values = compare(face(0, 1, quality=1.0), face(1, 0)).to_dict()
    assert values["decision"] == "retry"
    assert values["reason"] == ["below_threshold", "low_quality_a"]


@given(st.floats(1e-9, 1.0, exclude_max=True))
def test_grey_zone_begins_at_the_threshold_of_the_looser_rate_where_there_is_one(rate: float) -> None:
    def threshold_at(wanted: float) -> float:
        if wanted >= 1:
            raise OptionError("no rate")
        if wanted > 1e-2:
            raise ThresholdUnavailableError("not measured")
        return 1 - wanted

    measured = GREY_FACTOR * rate <= 1e-2
    assert grey_zone_from(threshold_at, rate) == (1 - GREY_FACTOR * rate if measured else None)
