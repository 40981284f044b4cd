from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_sdk.errors import NotFiniteError, OptionError, ShapeError
from qcface_sdk.evaluation.scores import score_all_pairs
from qcface_sdk.evaluation.verification import (
    evaluate_folds,
    false_non_match_rate,
    find_best_threshold,
    is_supported,
    operate,
    threshold_at_fmr,
    trace_roc,
)

scores_with_ties = st.lists(st.integers(-8, 8).map(lambda n: n / 8), min_size=2, max_size=60)


@settings(max_examples=50, deadline=None)
@given(impostor=scores_with_ties, fmr=st.floats(0.01, 0.99))
def test_threshold_at_fmr_any_scores_is_the_smallest_that_holds(impostor: list[float], fmr: float) -> None:
    scores = np.array(impostor)
    threshold = threshold_at_fmr(scores, fmr)
    assert np.mean(scores >= threshold) <= fmr + 1e-9
    assert np.mean(scores >= np.nextafter(threshold, -np.inf)) > fmr


@pytest.mark.parametrize("count", [1000, 3000, 29640])
def test_threshold_at_fmr_round_rate_allows_exactly_that_many(count: int) -> None:
    scores = np.arange(count) / count
    assert np.sum(scores >= threshold_at_fmr(scores, 1e-3)) == count // 1000


def test_threshold_at_fmr_rate_below_one_pair_lies_just_above_the_highest() -> None:
    scores = np.array([0.1, 0.7, 0.3])
    assert threshold_at_fmr(scores, 1e-4) == np.nextafter(0.7, 1.0)


def test_threshold_at_fmr_float32_scores_holds_in_float32_comparison() -> None:
    scores = np.linspace(0, 1, 1001, dtype=np.float32)
    threshold = threshold_at_fmr(scores, 0.01)
    # NumPy compares float32 with a Python float in float32; the threshold must survive that.
    assert np.sum(scores >= threshold) == np.sum(scores.astype(np.float64) >= threshold) == 10


def test_threshold_at_fmr_tail_of_the_scores_equals_all_of_them() -> None:
    scores = np.random.default_rng(0).normal(size=5000)
    tail = np.sort(scores)[-200:]
    assert threshold_at_fmr(tail, 0.01, count=5000) == threshold_at_fmr(scores, 0.01)


def test_threshold_at_fmr_tail_too_short_raises_option_error() -> None:
    with pytest.raises(OptionError, match="keep a longer tail"):
        threshold_at_fmr(np.arange(50.0), 0.01, count=5000)


def test_find_best_threshold_separable_scores_lies_in_the_middle_of_the_gap() -> None:
    scores = np.array([0.0, 0.1, 0.2, 0.6, 0.7])
    same = np.array([False, False, False, True, True])
    assert find_best_threshold(scores, same) == pytest.approx(0.4)


@settings(max_examples=50, deadline=None)
@given(data=st.lists(st.tuples(st.integers(-8, 8), st.booleans()), min_size=1, max_size=40))
def test_find_best_threshold_any_scores_is_at_least_as_good_as_every_cut(data: list[tuple[int, bool]]) -> None:
    scores = np.array([n / 8 for n, _ in data])
    same = np.array([flag for _, flag in data])
    right = np.sum((scores >= find_best_threshold(scores, same)) == same)
    assert right == max(np.sum((scores >= cut) == same) for cut in [*scores, 2.0])


def test_evaluate_folds_threshold_comes_from_the_other_folds() -> None:
    # Fold 0 separates at 0.5 and fold 1 at 0.1: judged by each other's threshold both call one pair wrong.
    similarity = [0.45, 0.55, 0.05, 0.15]
    result = evaluate_folds(similarity, [False, True, False, True], folds=2)
    assert result.thresholds == pytest.approx((0.1, 0.5))
    assert result.accuracies == (0.5, 0.5)
    assert (result.mean, result.std) == (0.5, 0.0)


def test_evaluate_folds_perfect_scores_gives_one() -> None:
    rng = np.random.default_rng(0)
    same = np.tile([True] * 30 + [False] * 30, 10)
    similarity = np.where(same, rng.uniform(0.5, 1, 600), rng.uniform(-1, 0.4, 600))
    assert evaluate_folds(similarity, same).mean == 1.0


def test_operate_on_all_pairs_counts_what_it_promises() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(60), 3)
    embeddings = rng.normal(size=(60, 8))[labels] + rng.normal(size=(180, 8))
    scores = score_all_pairs(embeddings, labels, tail=0.5)
    result = operate(scores, 0.01)
    assert result.impostors == 180 * 179 // 2 - 180
    assert result.genuines == 180
    assert result.false_matches == int(0.01 * result.impostors)
    assert result.fnmr == np.mean(scores.genuine < result.threshold)
    assert result.tmr == 1 - result.fnmr
    assert result.supported


@pytest.mark.parametrize(
    ("fmr", "impostors", "enough"),
    [
        (1e-3, 3000, False),
        (1e-3, 29_999, False),
        (1e-3, 30_000, True),
        (1e-6, 29_640_749, False),
        (1e-5, 29_640_749, True),
    ],
)
def test_is_supported_follows_the_rule_of_30(fmr: float, impostors: int, enough: bool) -> None:
    assert is_supported(fmr, impostors) is enough


@settings(max_examples=30, deadline=None)
@given(genuine=scores_with_ties, impostor=scores_with_ties)
def test_trace_roc_any_scores_equals_counting(genuine: list[float], impostor: list[float]) -> None:
    curve = trace_roc(genuine, impostor)
    for threshold, fmr, tmr in zip(curve.thresholds, curve.fmr, curve.tmr, strict=True):
        assert fmr == pytest.approx(np.mean(np.array(impostor) >= threshold))
        assert tmr == pytest.approx(np.mean(np.array(genuine) >= threshold))
    assert (curve.fmr[0], curve.tmr[0], curve.fmr[-1], curve.tmr[-1]) == (0, 0, 1, 1)
    wins = np.sign(np.subtract.outer(genuine, impostor))
    assert curve.area == pytest.approx(np.mean((wins + 1) / 2))


def test_verification_bad_arguments_raise_named_errors() -> None:
    with pytest.raises(OptionError):
        threshold_at_fmr([0.1, 0.2], 0.0)
    with pytest.raises(ShapeError):
        threshold_at_fmr([], 0.1)
    with pytest.raises(NotFiniteError):
        threshold_at_fmr([0.1, np.nan], 0.1)
    with pytest.raises(ShapeError):
        evaluate_folds([0.1] * 11, [True] * 11)
    with pytest.raises(OptionError):
        evaluate_folds([0.1] * 10, [True] * 10, folds=1)
    with pytest.raises(ShapeError):
        false_non_match_rate([], 0.5)
    with pytest.raises(ShapeError):
        trace_roc([], [0.1])
