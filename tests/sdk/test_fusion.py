"""Fusion: what counts, that order never does, and that what is taken out leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import ContractMismatchError, InputError, OptionError
from qcface_sdk.fusion import Fusion, agreeing, evidence, fuse
from qcface_sdk.quality import QualityScale
from qcface_sdk.results import Face
from qcface_sdk.template import Template

CONTRACT = "qc1-test"
DIMENSION = 64
SCALE = QualityScale([(0.0, 0.0), (100.0, 100.0)], [(0.0, 0.0), (400.0, 100.0)])
BOX, POINTS = np.zeros(4), np.zeros((5, 2))


def face(embedding: np.ndarray, contract: str = CONTRACT) -> Face:
    return Face(BOX, POINTS, 0.9, np.asarray(embedding, np.float32), contract, 0.5, 50.0)


def person(number: int) -> np.ndarray:
    direction = np.random.default_rng(1000 + number).normal(size=DIMENSION)
    return direction / np.linalg.norm(direction)


def pictures(rng: np.random.Generator, who: int, count: int) -> list[Face]:
    """Noisy pictures of one person, of different magnitudes."""
    noise = rng.normal(size=(count, DIMENSION)) * 0.6 / np.sqrt(DIMENSION)
    rows = person(who) + noise
    return [face(row / np.linalg.norm(row) * rng.uniform(20, 90)) for row in rows]


def fusion(capacity: int = 64) -> Fusion:
    return Fusion(CONTRACT, SCALE, outlier_below=0.3, capacity=capacity)


def filled(faces: list[Face], **options: int) -> Fusion:
    made = fusion(**options)
    for number, one in enumerate(faces):
        made.add(one, when=10.0 + number)
    return made


def test_template_is_the_magnitude_weighted_mean_of_unit_vectors(rng: np.random.Generator) -> None:
    faces = pictures(rng, 1, 5)
    rows = np.stack([one.embedding for one in faces]).astype(np.float64)
    weights = np.linalg.norm(rows, axis=1)
    mean = (weights[:, None] * (rows / weights[:, None])).sum(axis=0)
    made = filled(faces).template()
    np.testing.assert_allclose(made.vector, mean / np.linalg.norm(mean), atol=1e-6)
    assert (made.contract, made.count, made.created, made.updated) == (CONTRACT, 5, 10.0, 14.0)
    assert made.quality == filled(faces).quality


def test_uses_tells_which_faces_are_in_the_template(rng: np.random.Generator) -> None:
    faces, (stranger,) = pictures(rng, 1, 4), pictures(rng, 2, 1)
    made = filled([*faces, stranger])
    assert [made.uses(one) for one in faces] == [True] * 4
    assert not made.uses(stranger)
    assert not made.uses(pictures(rng, 1, 1)[0])
    made.remove(faces[0])
    assert not made.uses(faces[0])


@given(seed=st.integers(0, 2**32 - 1), order=st.permutations(range(6)))
def test_order_of_adding_never_matters(seed: int, order: list[int]) -> None:
    rng = np.random.default_rng(seed)
    faces = pictures(rng, 1, 4) + pictures(rng, 2, 2)
    first, second = fusion(), fusion()
    for number in range(6):
        first.add(faces[number], when=1.0)
        second.add(faces[order[number]], when=1.0)
    assert first.template() == second.template()
    assert (first.quality, first.count, first.set_aside) == (second.quality, second.count, second.set_aside)


@given(seed=st.integers(0, 2**32 - 1), other=st.integers(1, 3), extra=st.integers(1, 4))
def test_removing_what_was_added_restores_every_bit(seed: int, other: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    made = filled(pictures(rng, 1, 3))
    before, quality = made.template().to_bytes(), made.quality
    later = pictures(rng, other, extra)
    for one in later:
        made.add(one, when=99.0)
    for one in reversed(later):
        made.remove(one)
    assert made.template().to_bytes() == before
    assert made.quality == quality


def test_add_of_somebody_else_is_set_aside_and_changes_nothing(rng: np.random.Generator) -> None:
    made = filled(pictures(rng, 1, 4))
    before = made.template()
    (stranger,) = pictures(rng, 2, 1)
    assert not made.add(stranger)
    assert (made.count, made.set_aside, made.template()) == (4, 1, before)


def test_a_wrong_first_face_is_set_aside_once_the_others_agree(rng: np.random.Generator) -> None:
    (stranger,) = pictures(rng, 2, 1)
    right = pictures(rng, 1, 3)
    assert filled([stranger, *right]).template() == _retimed(right, start=11.0)


def _retimed(faces: list[Face], start: float) -> Template:
    made = fusion()
    for number, one in enumerate(faces):
        made.add(one, when=start + number)
    return made.template()


def test_two_faces_that_disagree_leave_the_more_recognizable_one() -> None:
    strong, weak = face(80 * person(1)), face(40 * person(2))
    for faces in ([strong, weak], [weak, strong]):
        made = filled(faces)
        np.testing.assert_allclose(made.template().vector, person(1), atol=1e-6)
        assert (made.count, made.set_aside) == (1, 1)


def test_beyond_capacity_the_smallest_magnitude_leaves() -> None:
    rows = [face(length * person(1)) for length in (50.0, 20.0, 70.0, 60.0)]
    made = filled(rows, capacity=3)
    assert made.count == 3
    assert made.template().magnitude == pytest.approx(60.0, rel=1e-6)
    assert not made.add(face(10 * person(1)))
    with pytest.raises(InputError, match="does not hold that face"):
        made.remove(rows[1])


def test_evidence_of_copies_is_that_of_one_and_of_different_pictures_grows(rng: np.random.Generator) -> None:
    row = 60 * person(1)[None].astype(np.float32)
    assert evidence(np.repeat(row, 20, axis=0)) == pytest.approx(60.0, rel=1e-6)
    rows = np.stack([one.embedding for one in pictures(rng, 1, 8)])
    grown = [evidence(rows[:count]) for count in (1, 2, 4, 8)]
    assert grown == sorted(grown)
    assert grown[-1] > 1.5 * grown[0]


def test_quality_is_the_best_single_one_at_least_and_follows_evidence(rng: np.random.Generator) -> None:
    faces = pictures(rng, 1, 6)
    rows = np.stack([one.embedding for one in faces])
    best = float(SCALE.quality(np.linalg.norm(rows, axis=1)).max())
    made = filled(faces)
    assert made.quality == pytest.approx(max(best, evidence(rows) / 4))
    assert made.expected_fnmr == pytest.approx(1 - made.quality / 100)
    assert filled(faces[:1]).quality == pytest.approx(float(np.linalg.norm(rows[0])))


def test_quality_without_a_measured_fusion_is_the_best_single_one(rng: np.random.Generator) -> None:
    plain = Fusion(CONTRACT, QualityScale([(0.0, 0.0), (100.0, 100.0)]), outlier_below=0.3)
    faces = pictures(rng, 1, 5)
    for one in faces:
        plain.add(one)
    assert plain.quality == pytest.approx(max(one.magnitude or 0.0 for one in faces))


def test_enough_compares_the_expected_rate(rng: np.random.Generator) -> None:
    made = filled(pictures(rng, 1, 5))
    assert made.enough(made.expected_fnmr + 1e-9)
    assert not made.enough(made.expected_fnmr - 1e-9)
    with pytest.raises(OptionError):
        made.enough(0.0)


def test_empty_fusion_knows_nothing() -> None:
    made = fusion()
    assert (made.count, made.quality, made.expected_fnmr, made.enough(0.999)) == (0, 0.0, 1.0, False)
    with pytest.raises(InputError, match="at least one face"):
        made.template()


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_add_of_a_face_without_direction_is_left_out(bad: float) -> None:
    made = filled([face(50 * person(1))])
    before = made.template()
    assert not made.add(face(np.full(DIMENSION, bad)))
    assert (made.count, made.set_aside, made.template()) == (1, 0, before)


@pytest.mark.parametrize("when", [-1.0, float("nan"), float("inf"), "now", True])
def test_add_at_no_time_is_refused(when: object) -> None:
    with pytest.raises(OptionError, match="unix seconds"):
        fusion().add(face(person(1)), when=when)  # type: ignore[arg-type]


def test_add_of_another_contract_or_a_detected_face_is_refused() -> None:
    with pytest.raises(ContractMismatchError):
        fusion().add(face(person(1), "qc1-other"))
    for use in (fusion().add, fusion().remove):
        with pytest.raises(InputError):
            use(Face(BOX, POINTS, 0.9))


@pytest.mark.parametrize(("bound", "capacity"), [(2.0, 4), (float("nan"), 4), (0.3, 0), (0.3, 1.5)])
def test_fusion_with_impossible_options_is_refused(bound: float, capacity: int) -> None:
    with pytest.raises(OptionError):
        Fusion(CONTRACT, SCALE, outlier_below=bound, capacity=capacity)


def test_agreeing_keeps_the_larger_group_whatever_the_order(rng: np.random.Generator) -> None:
    rows = np.stack([one.embedding for one in pictures(rng, 1, 4) + pictures(rng, 2, 3)])
    assert agreeing(rows, 0.3).tolist() == [True] * 4 + [False] * 3
    assert agreeing(rows[::-1], 0.3).tolist() == [False] * 3 + [True] * 4
    assert agreeing(rows, -1.0).all()


def test_fuse_of_one_face_has_its_quality() -> None:
    made = fuse(30 * person(1)[None], CONTRACT, SCALE, created=5.0)
    assert made.quality == pytest.approx(30.0)
    assert (made.created, made.updated) == (5.0, 5.0)
