from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_sdk.errors import NotFiniteError, OptionError, ShapeError
from qcface_sdk.evaluation.rejection import (
    compare_factor,
    excess_area,
    ideal_area,
    pair_quality,
    partial_area,
    partial_areas,
    threshold_at_fnmr,
    trace_edc,
)
from qcface_sdk.evaluation.scores import score_all_pairs


@settings(max_examples=50, deadline=None)
@given(
    data=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=40).filter(
        lambda rows: sum(row[2] for row in rows) > 0
    )
)
def test_trace_edc_any_data_equals_removing_quality_levels_one_by_one(data: list[tuple[int, int, int]]) -> None:
    genuine = [s / 8 for s, _, _ in data]
    quality = [float(q) for _, q, _ in data]
    curve = trace_edc(genuine, quality, 0.5, weights=[float(w) for _, _, w in data])
    # Write every comparison out as often as it weighs, then discard from the lowest quality level up.
    copies = [(s / 8, q) for s, q, w in data for _ in range(w)]
    steps = {0.0: np.mean([s < 0.5 for s, _ in copies])}
    for level in sorted({q for _, q in copies})[:-1]:
        rest = [s for s, q in copies if q > level]
        steps[1 - len(rest) / len(copies)] = np.mean([s < 0.5 for s in rest])
    for share, fnmr in steps.items():
        assert curve.fnmr_at(share) == pytest.approx(fnmr)
    assert sorted({round(float(r), 9) for r in curve.rejected}) == sorted({round(r, 9) for r in [*steps, 1.0]})
    assert (curve.rejected[-1], curve.fnmr[-1]) == (1.0, 0.0)


def test_trace_edc_by_hand_discards_equal_quality_together() -> None:
    curve = trace_edc([0.1, 0.9, 0.2, 0.8, 0.7], [1, 1, 2, 3, 3], 0.5)
    assert curve.rejected.tolist() == pytest.approx([0.0, 0.4, 0.6, 1.0])
    assert curve.fnmr.tolist() == pytest.approx([0.4, 1 / 3, 0.0, 0.0])
    assert curve.fnmr_at(0.39) == pytest.approx(0.4)
    assert curve.fnmr_at(0.4) == pytest.approx(1 / 3)
    assert curve.factor_at(0.5) == pytest.approx(5 / 6)


def test_trace_edc_order_of_comparisons_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    genuine, quality = rng.normal(size=200), rng.integers(0, 20, 200)
    order = rng.permutation(200)
    one, two = trace_edc(genuine, quality, 0.0), trace_edc(genuine[order], quality[order], 0.0)
    assert np.allclose(one.fnmr, two.fnmr)


def test_trace_edc_rising_transform_of_quality_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    genuine, quality = rng.normal(size=200), rng.normal(size=200)
    assert np.array_equal(trace_edc(genuine, quality, 0.0).fnmr, trace_edc(genuine, np.exp(quality), 0.0).fnmr)


def test_factor_at_no_error_to_begin_with_is_nan() -> None:
    assert np.isnan(trace_edc([0.9, 0.8], [1, 2], 0.5).factor_at(0.1))


def test_partial_area_by_hand_is_the_sum_of_the_steps() -> None:
    curve = trace_edc([0.1, 0.9, 0.2, 0.8, 0.7], [1, 1, 2, 3, 3], 0.5)
    assert partial_area(curve, 0.3) == pytest.approx(0.3 * 0.4)
    assert partial_area(curve, 0.5) == pytest.approx(0.4 * 0.4 + 0.1 / 3)
    assert partial_area(curve, 1.0) == pytest.approx(0.4 * 0.4 + 0.2 / 3)


@pytest.mark.parametrize(("start", "limit"), [(0.05, 0.3), (0.01, 0.2), (0.5, 0.3), (1.0, 0.95), (0.0, 0.2)])
def test_ideal_area_equals_numerical_integral(start: float, limit: float) -> None:
    share = (np.arange(200_000) + 0.5) / 200_000 * limit
    rest = np.maximum(0, (start - share) / (1 - share))
    assert ideal_area(start, limit) == pytest.approx(rest.mean() * limit, abs=1e-9)


def test_excess_area_perfect_quality_is_nearly_zero_and_reversed_is_large() -> None:
    rng = np.random.default_rng(2)
    genuine = rng.normal(0.5, 0.2, 5000)
    threshold = threshold_at_fnmr(genuine, 0.05)
    perfect, reversed_ = (trace_edc(genuine, quality, threshold) for quality in (genuine, -genuine))
    for limit in (0.2, 0.3, 0.95):
        # The step curve lies above the smooth ideal by less than one comparison's step.
        assert 0 <= excess_area(perfect, limit) < 2e-5
        assert partial_area(reversed_, limit) > 0.05 * limit
    assert set(partial_areas(perfect)) == {"0.2", "0.3", "0.95"}


@pytest.mark.parametrize("start", [0.01, 0.05])
def test_threshold_at_fnmr_starts_at_that_rate(start: float) -> None:
    genuine = np.random.default_rng(3).normal(size=1000)
    assert np.mean(genuine < threshold_at_fnmr(genuine, start)) == start


def test_pair_quality_takes_the_worse_face() -> None:
    assert pair_quality([5.0, 1.0, 3.0], np.array([[0, 1], [0, 2]])).tolist() == [1.0, 3.0]


def test_compare_factor_true_quality_beats_noise_and_equals_its_own_transform() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(120), 3)
    spoiled = rng.uniform(0, 2.0, 360)
    embeddings = rng.normal(size=(120, 16))[labels] + spoiled[:, None] * rng.normal(size=(360, 16))
    scores = score_all_pairs(embeddings, labels, tail=0.3)
    others = {"noise": rng.normal(size=360), "same": -3 * spoiled}
    result = compare_factor(scores, -spoiled, others, 0.01, share=0.3, replicates=100)
    assert result["noise"].value < 0
    assert result["noise"].clear
    assert (result["same"].value, result["same"].interval) == (0.0, (0.0, 0.0))


def test_rejection_bad_arguments_raise_named_errors() -> None:
    with pytest.raises(ShapeError):
        trace_edc([0.1], [1.0, 2.0], 0.5)
    with pytest.raises(ShapeError):
        trace_edc([], [], 0.5)
    with pytest.raises(NotFiniteError):
        trace_edc([0.1], [np.nan], 0.5)
    with pytest.raises(OptionError):
        partial_area(trace_edc([0.1], [1.0], 0.5), 1.5)
    with pytest.raises(OptionError):
        threshold_at_fnmr([0.1], 0.0)
    with pytest.raises(ShapeError):
        pair_quality([1.0], np.array([[0, 1]]))
