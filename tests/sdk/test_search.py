"""Thresholds of a search: strict enough for the size of the gallery, which a simulation of searches confirms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import OptionError, ThresholdUnavailableError
from qcface_sdk.evaluation import calibrate_scores, score_all_pairs
from qcface_sdk.evaluation.tail import fit_tail
from qcface_sdk.measurements import ImpostorTail, ThresholdRow
from qcface_sdk.search import search_threshold, tail_threshold

DIMENSION = 24
PEOPLE = 700


def row(fmr: float, threshold: float, *, supported: bool = True) -> ThresholdRow:
    return ThresholdRow(
        "a", "b", fmr, threshold, (threshold - 0.01, threshold + 0.01), 10**6, 10**3, 0.1, supported, "made up"
    )


ROWS = [row(1e-2, 0.2), row(1e-3, 0.3), row(1e-4, 0.4), row(1e-5, 0.5, supported=False)]
TAIL = ImpostorTail("a", "b", 0.4, 1e-4, 0.05, 0.0, ((1e-4, 0.04, 0.0), (1e-4, 0.06, 0.0)) * 10, 10**6, "made up")


@pytest.mark.parametrize(("fpir", "size", "threshold"), [(1e-2, 10, 0.3), (1e-3, 10, 0.4), (1e-2, 100, 0.4)])
def test_search_threshold_divides_the_rate_by_the_size(fpir: float, size: int, threshold: float) -> None:
    found = search_threshold(ROWS, None, fpir, size)
    assert found.threshold == pytest.approx(threshold)
    assert found.fmr == pytest.approx(fpir / size)
    assert (found.fpir, found.size, found.extrapolated) == (fpir, size, False)
    assert found.interval[0] < found.threshold < found.interval[1]


@given(st.floats(1e-3, 0.5), st.integers(1, 9), st.integers(1, 9))
def test_search_threshold_never_falls_with_the_size(fpir: float, one: int, more: int) -> None:
    small, large = (search_threshold(ROWS, TAIL, fpir, size, extrapolate=True) for size in (one, one + more))
    assert small.threshold <= large.threshold


def test_search_threshold_looser_than_measured_takes_the_loosest() -> None:
    assert search_threshold(ROWS, None, 0.5, 2).threshold == 0.2


def test_search_threshold_beyond_the_counts_is_refused_and_says_what_it_needs() -> None:
    with pytest.raises(ThresholdUnavailableError, match=r"over 1,000 templates needs fmr=1e-05.*extrapolate=True"):
        search_threshold(ROWS, TAIL, 1e-2, 1000)
    with pytest.raises(ThresholdUnavailableError, match="no tail was fitted"):
        search_threshold(ROWS, None, 1e-2, 1000, extrapolate=True)


def test_search_threshold_extrapolated_says_so_and_has_a_wide_interval() -> None:
    found = search_threshold(ROWS, TAIL, 1e-2, 1000, extrapolate=True)
    assert found.extrapolated
    assert found.threshold == pytest.approx(0.4 + 0.05 * math.log(10))
    assert found.interval == pytest.approx((0.4 + 0.04 * math.log(10), 0.4 + 0.06 * math.log(10)))


def test_search_threshold_extrapolated_is_never_below_a_measured_one() -> None:
    low = replace(TAIL, start=0.1)
    assert search_threshold(ROWS, low, 1e-2, 1000, extrapolate=True).threshold >= 0.4


@pytest.mark.parametrize("shape", [-0.4, -1e-12, 0.0, 0.3])
def test_tail_threshold_inverts_the_rate(shape: float) -> None:
    tail = replace(TAIL, shape=shape)
    value, _ = tail_threshold(tail, 1e-6)
    reach = (value - tail.start) / tail.scale
    rate = tail.share * (math.exp(-reach) if abs(shape) < 1e-9 else (1 + shape * reach) ** (-1 / shape))
    assert rate == pytest.approx(1e-6, rel=1e-6)


def test_tail_threshold_above_its_start_is_refused() -> None:
    with pytest.raises(ThresholdUnavailableError, match="use the measured thresholds"):
        tail_threshold(TAIL, 1e-3)


@pytest.mark.parametrize(("fpir", "size"), [(0.0, 1), (1.0, 1), (1e-3, 0), (1e-3, -1), (1e-3, 1.5), (float("nan"), 1)])
def test_search_threshold_with_impossible_numbers_is_refused(fpir: float, size: int) -> None:
    with pytest.raises(OptionError):
        search_threshold(ROWS, None, fpir, size)


def _faces(people: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(people, DIMENSION)).astype(np.float32)


@pytest.mark.parametrize(("size", "fpir", "extrapolated"), [(20, 0.02, False), (400, 0.02, True)])
def test_simulated_strangers_are_identified_at_the_promised_rate(
    size: int, fpir: float, extrapolated: bool, rng: np.random.Generator
) -> None:
    """Calibrate on some people, search galleries of others with strangers to both: the rate asked for comes out."""
    known = np.concatenate([_faces(PEOPLE, rng)] * 2)
    scores = score_all_pairs(known, np.tile(np.arange(PEOPLE), 2), tail=0.05)
    rows = [
        ThresholdRow("a", "b", r.fmr, r.threshold, r.interval, r.impostors, r.genuines, r.fnmr, r.supported, "drawn")
        for r in calibrate_scores(scores, (1e-2, 1e-3, 1e-4), replicates=20)
    ]
    fit = fit_tail(scores, replicates=40)
    tail = ImpostorTail("a", "b", fit.start, fit.share, fit.scale, fit.shape, fit.draws, fit.impostors, "drawn")
    found = search_threshold(rows, tail, fpir, size, extrapolate=extrapolated)
    assert found.extrapolated is extrapolated
    identified = searches = 0
    for _ in range(20):
        gallery, strangers = _faces(size, rng), _faces(500, rng)
        unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in (gallery, strangers)]
        identified += int(((unit[1] @ unit[0].T).max(axis=1) >= found.threshold).sum())
        searches += 500
    # 10,000 searches and a threshold that has an uncertainty of its own.
    assert fpir / 2 < identified / searches < 2 * fpir
