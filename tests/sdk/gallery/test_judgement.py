"""With an engine: gates, people enrolled twice, thresholds by rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import (
    ContractMismatchError,
    EnrolmentRefusedError,
    GalleryError,
    InputError,
    OptionError,
    ThresholdUnavailableError,
)
from qcface_sdk.gallery import EnrolmentIssue, Gallery
from qcface_sdk.gallery.judgement import Limit, identification, limit_of
from qcface_sdk.results import Candidate, Face, Outcome, Reason
from qcface_sdk.template import Template

CONTRACT = "qc1-0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Found:
    threshold: float
    fmr: float
    extrapolated: bool


class Engine:
    """Answers as a FaceEngine would, by formulas that can be checked by hand."""

    contract, retry_below, enroll_below = CONTRACT, 20.0, 40.0

    def quality(self, magnitudes: np.ndarray) -> np.ndarray:
        return np.asarray(magnitudes, np.float64) * 10

    def threshold(self, fmr: float) -> float:
        if fmr < 1e-4:
            raise ThresholdUnavailableError("too strict")
        if fmr > 1e-3:
            raise ThresholdUnavailableError("too loose")
        return {1e-4: 0.8, 1e-3: 0.6}[fmr]

    def search_threshold(self, fpir: float, size: int, *, extrapolate: bool = False) -> Found:
        if fpir / size < 1e-4 and not extrapolate:
            raise ThresholdUnavailableError("too strict for so many")
        if not 0 < fpir < 1:
            raise OptionError("fpir must lie between 0 and 1")
        return Found(0.5 + 0.01 * size - 0.1 * np.log10(fpir), fpir / size, fpir / size < 1e-4)


@pytest.fixture
def judged(path, gallery):
    gallery.close()
    with Gallery.open(path, engine=Engine()) as opened:
        yield opened


def face_at(vector: object, quality: float | None, side: float = 100) -> Face:
    return Face(
        np.array([0, 0, side, side]), np.zeros((5, 2)), 0.9, np.asarray(vector, np.float32), CONTRACT, 0.5, quality
    )


def test_engine_brings_the_contract(path, judged):
    assert judged.contract == CONTRACT
    with pytest.raises(GalleryError, match="give one of them, or equal ones"):
        Gallery.open(path, "qc1-other", engine=Engine())

    class Other(Engine):
        contract = "qc1-other"

    with pytest.raises(ContractMismatchError):
        Gallery.open(path, engine=Other())


def test_enroll_below_the_gate_is_refused_unless_allowed(judged, person):
    poor = face_at(person(50).vector, 39.9)
    with pytest.raises(EnrolmentRefusedError, match="quality 40, below the enrolment gate 40") as caught:
        judged.enroll("ada", poor)
    assert caught.value.issues is EnrolmentIssue.LOW_QUALITY
    assert "ada" not in judged.subjects()
    done = judged.enroll("ada", poor, allow=EnrolmentIssue.LOW_QUALITY)
    assert (done.issues, done.quality) == (EnrolmentIssue.LOW_QUALITY, 39.9)
    assert judged.audit("ada")[-1].detail["allowed"] == ["low_quality"]
    assert judged.enroll("bob", face_at(person(51).vector, 40.0)).issues is EnrolmentIssue.NONE


def test_enroll_template_is_judged_by_its_magnitude(judged, person):
    with pytest.raises(EnrolmentRefusedError, match="gate"):
        judged.enroll("ada", Template.from_embeddings([3.9 * person(50).vector], CONTRACT))
    done = judged.enroll("ada", Template.from_embeddings([4.1 * person(50).vector], CONTRACT))
    assert done.quality == pytest.approx(41, rel=1e-6)


@pytest.mark.parametrize("quality", [None, float("nan")])
def test_enroll_face_of_no_known_quality_is_refused(judged, person, quality):
    poor = Face(np.zeros(4), np.zeros((5, 2)), 0.9, 0.001 * person(50).vector, CONTRACT, None, quality)
    with pytest.raises(EnrolmentRefusedError):
        judged.enroll("ada", poor)


def test_enroll_person_who_is_there_under_another_id_is_refused_unless_allowed(judged, person):
    near = person(3).vector + 0.3 * person(60).vector
    with pytest.raises(EnrolmentRefusedError, match="looks like 'p3'") as caught:
        judged.enroll("ada", face_at(near, 90))
    assert caught.value.issues is EnrolmentIssue.LIKELY_DUPLICATE
    assert judged.enroll("p3", face_at(near, 90)).similar_to is None
    done = judged.enroll("ada", face_at(near, 90), force=True)
    assert (done.issues, done.similar_to) == (EnrolmentIssue.LIKELY_DUPLICATE, "p3")
    assert done.to_dict()["issues"] == ["likely_duplicate"]


def test_enroll_of_a_picture_with_several_faces(path, gallery, person):
    first, second, small = (
        face_at(person(50).vector, 90),
        face_at(person(51).vector, 90, 71),
        face_at(person(52).vector, 90, 69),
    )
    with pytest.raises(EnrolmentRefusedError, match="another face of the picture is about as large"):
        gallery.enroll("ada", (first, second))
    assert gallery.enroll("ada", (first, small)).issues is EnrolmentIssue.NONE
    assert gallery.enroll("ada", [first, second], allow=EnrolmentIssue.ALL).issues is EnrolmentIssue.SEVERAL_FACES
    assert gallery.identify(person(50), threshold=0.9).subject == "ada"
    with pytest.raises(InputError, match="a Face or a Template"):
        gallery.enroll("ada", [person(50), person(51)])


def test_identify_by_fmr_and_by_fpir(judged, person):
    near = face_at(person(3).vector + 0.7 * person(60).vector, 90)
    found = judged.identify(near, fmr=1e-3)
    assert (found.decision, found.threshold, found.fmr, found.fpir) == (Outcome.ACCEPT, 0.6, 1e-3, None)
    found = judged.identify(near, fpir=1e-2)
    assert found.threshold == pytest.approx(0.5 + 0.1 + 0.2)
    assert (found.fmr, found.fpir, found.extrapolated) == (1e-3, 1e-2, False)
    judged.enroll("p3", face_at(person(50).vector, 90))
    assert judged.identify(near, fpir=1e-2).threshold == pytest.approx(0.5 + 0.11 + 0.2)
    with pytest.raises(ThresholdUnavailableError):
        judged.identify(near, fpir=1e-4)
    assert judged.identify(near, fpir=1e-4, extrapolate=True).extrapolated
    assert judged.identify(near, fpir=1e-2).to_dict()["fpir"] == 1e-2


def test_identify_uses_the_engines_gate_unless_another_is_given(judged, person):
    poor = face_at(person(3).vector, 19.0)
    assert judged.identify(poor, fmr=1e-3).reason is Reason.LOW_QUALITY_A
    assert judged.identify(poor, fmr=1e-3, retry_below=10).decision is Outcome.ACCEPT
    assert judged.identify(person(3), fmr=1e-3).decision is Outcome.ACCEPT


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "exactly one of threshold, fmr .* got none"),
        ({"threshold": 0.5, "fmr": 1e-3}, "got threshold and fmr"),
        ({"fpir": 1e-3, "fmr": 1e-3}, "got fmr and fpir"),
        ({"fmr": 0}, "fmr must be"),
        ({"fpir": 1.0}, "fpir must lie"),
    ],
)
def test_identify_needs_exactly_one_rate(judged, person, options, words):
    with pytest.raises(OptionError, match=words):
        judged.identify(person(3), **options)


def test_identify_by_a_rate_without_an_engine_raises(gallery, person):
    for rate in ("fmr", "fpir"):
        with pytest.raises(OptionError, match=f"{rate} needs the model's thresholds; open the gallery with engine="):
            gallery.identify(person(3), **{rate: 1e-3})


def near_p3(person, similarity: float) -> np.ndarray:
    """A vector of exactly this similarity to p3."""
    p3, other = np.asarray(person(3).vector, np.float64), np.asarray(person(60).vector, np.float64)
    other -= (other @ p3) * p3
    return similarity * p3 + np.sqrt(1 - similarity**2) * other / np.linalg.norm(other)


@pytest.mark.parametrize(
    ("options", "similarity", "outcome"),
    [
        ({"fmr": 1e-4}, 0.81, Outcome.ACCEPT),
        ({"fmr": 1e-4}, 0.79, Outcome.RETRY),
        ({"fmr": 1e-4}, 0.61, Outcome.RETRY),
        ({"fmr": 1e-4}, 0.59, Outcome.REJECT),
        ({"fpir": 1e-2}, 0.81, Outcome.ACCEPT),
        ({"fpir": 1e-2}, 0.79, Outcome.RETRY),
        ({"fpir": 1e-2}, 0.71, Outcome.RETRY),
        ({"fpir": 1e-2}, 0.69, Outcome.REJECT),
        ({"threshold": 0.8}, 0.79, Outcome.REJECT),
        # Ten times the rate is not measured, or is no rate: no zone.
        ({"fmr": 1e-3}, 0.59, Outcome.REJECT),
        ({"fpir": 0.2}, 0.66, Outcome.REJECT),
    ],
)
def test_identify_in_the_grey_zone_of_a_rate_asks_again(judged, person, options, similarity, outcome):
    probe = face_at(near_p3(person, similarity), 90)
    found = judged.identify(probe, **options)
    assert found.candidates[0].subject == "p3"
    assert found.candidates[0].similarity == pytest.approx(similarity, abs=1e-6)
    assert found.decision is outcome
    assert (Reason.GREY_ZONE in found.reason) is (outcome is Outcome.RETRY)
    assert found.subject == ("p3" if outcome is Outcome.ACCEPT else None)


def test_grey_zone_of_an_extrapolated_search_is_no_farther_than_asked_for(judged):
    limit = limit_of(Engine(), 10, fpir=1e-4, extrapolate=True)
    assert limit.extrapolated
    assert limit.grey_from == Engine().search_threshold(1e-3, 10).threshold < limit.threshold


class Fusing(Engine):
    """Asks 10 % more for each fused template, 30 % where it is not known how many pictures it holds."""

    def stretch(self, count: int | None) -> float:
        return {1: 1.0, None: 1.3}.get(count, 1.1)


def test_more_is_asked_of_fused_templates_on_either_side():
    assert Limit(0.8).between(3, 3) == Limit(0.8)
    for options in ({"fmr": 1e-4}, {"fpir": 0.1}):
        limit = limit_of(Fusing(), 2, **options)
        assert limit.between(1, 1).threshold == limit.threshold
        assert limit.between(4, 1).threshold == pytest.approx(1.1 * limit.threshold)
        assert limit.between(4, 2).threshold == pytest.approx(min(1.0, 1.21 * limit.threshold))
        assert limit.between(1, None).threshold == pytest.approx(min(1.0, 1.3 * limit.threshold))
        if limit.grey_from is not None:
            assert limit.between(4, 1).grey_from == pytest.approx(1.1 * limit.grey_from)
    assert limit_of(Fusing(), 2, threshold=0.8).between(4, 4).threshold == 0.8


def test_gallery_asks_more_where_the_enrolled_template_is_fused(path, gallery, person):
    gallery.close()
    with Gallery.open(path, engine=Fusing()) as opened:
        one = face_at(np.eye(64)[0], 90)
        near = np.eye(64)[0] * 0.85 + np.eye(64)[1] * np.sqrt(1 - 0.85**2)
        opened.enroll("single", one)
        found = opened.identify(face_at(near * 9, 90), fmr=1e-4)
        assert (found.decision, found.threshold, found.candidates[0].pictures) == (Outcome.ACCEPT, 0.8, 1)
        opened.remove("single")
        opened.enroll("fused", Template.from_embeddings(np.eye(64)[:1].repeat(3, axis=0) * 9, CONTRACT))
        found = opened.identify(face_at(near * 9, 90), fmr=1e-4)
        assert (found.decision, found.candidates[0].pictures) == (Outcome.RETRY, 3)
        assert found.threshold == pytest.approx(0.88)
        assert Reason.GREY_ZONE in found.reason
        # A threshold that was given is meant as it is.
        assert opened.identify(face_at(near * 9, 90), threshold=0.8).subject == "fused"


_NUMBERS = st.floats(-1, 1) | st.just(float("nan"))


@given(_NUMBERS, _NUMBERS, _NUMBERS | st.none(), st.sampled_from([Reason.NONE, Reason.LOW_QUALITY_A, Reason.NO_FACE]))
def test_a_grey_zone_wherever_it_is_never_accepts(similarity, threshold, grey_from, unfit):
    candidates = (Candidate("ann", similarity),)
    found = identification(None, unfit, candidates, Limit(threshold, grey_from=grey_from), CONTRACT)
    without = identification(None, unfit, candidates, Limit(threshold), CONTRACT)
    assert (found.decision is Outcome.ACCEPT) == (similarity >= threshold and unfit is Reason.NONE)
    assert (found.subject is None) == (found.decision is not Outcome.ACCEPT)
    # All that a zone does is to ask again instead of rejecting.
    assert found.decision is without.decision or (without.decision, found.decision) == (Outcome.REJECT, Outcome.RETRY)
    assert not (found.decision is Outcome.ACCEPT and found.reason)


@given(_NUMBERS | st.none())
def test_a_grey_zone_of_nobody_is_a_reject(grey_from):
    assert identification(None, Reason.NONE, (), Limit(0.5, grey_from=grey_from), CONTRACT).decision is Outcome.REJECT
