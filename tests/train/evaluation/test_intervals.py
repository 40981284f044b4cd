"""Intervals by resampling people, against figures of faces that are repeated as often as they were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.evaluation import (
    operate,
    pair_quality,
    partial_areas,
    percentile_interval,
    resample,
    score_all_pairs,
    threshold_at_fmr,
    threshold_at_fnmr,
    trace_edc,
)
from qcface_train.evaluation.intervals import (
    bootstrap_areas,
    bootstrap_misses,
    bootstrap_span,
    draw_rates,
    interval_of,
)

REPLICATES = 25


def test_interval_of_too_few_figures_is_none() -> None:
    assert interval_of(np.array([1.0, np.nan])) is None
    assert interval_of(np.ones(20)) == [1.0, 1.0]


def test_span_is_that_of_the_values_repeated_as_often_as_people_were_drawn() -> None:
    rng = np.random.default_rng(3)
    values, person = rng.normal(size=90), rng.integers(0, 20, 90)
    found = bootstrap_span(values, person, lambda low, high: high - 2 * low, people=20, replicates=REPLICATES)
    wanted = []
    for drawn in resample(20, REPLICATES, 0):
        low, high = np.percentile(np.repeat(values, drawn[person]), [5, 95])
        wanted.append(high - 2 * low)
    assert found == pytest.approx(percentile_interval(wanted))


def test_misses_are_those_of_searches_and_strangers_drawn_by_person() -> None:
    rng = np.random.default_rng(4)
    mated, strangers = rng.normal(1, 1, 60).astype(np.float32), rng.normal(0, 1, 40).astype(np.float32)
    mated[:5] = -np.inf
    mated_people, stranger_people = rng.integers(0, 15, 60), 15 + np.arange(40)
    found = bootstrap_misses(
        mated, mated_people, strangers, stranger_people, (0.1, 0.3), people=55, replicates=REPLICATES
    )
    for fpir, ends in zip((0.1, 0.3), found, strict=True):
        wanted = []
        for drawn in resample(55, REPLICATES, 0):
            threshold = threshold_at_fmr(np.repeat(strangers, drawn[stranger_people]), fpir)
            wanted.append(np.mean(np.repeat(mated, drawn[mated_people]) < threshold))
        assert ends == pytest.approx(percentile_interval(wanted))


def test_draw_rates_weighs_pairs_by_both_people() -> None:
    rng = np.random.default_rng(5)
    people = 12
    first, second = np.repeat(np.arange(people), people), np.tile(np.arange(people), people)
    values = (rng.normal(size=people**2) + 2 * (first == second)).astype(np.float32)
    found = draw_rates(
        values,
        first,
        second,
        lambda counts: int(counts.sum()) ** 2 - int((counts**2).sum()),
        (0.1,),
        people=people,
        replicates=REPLICATES,
    )
    same = first == second
    for row, drawn in enumerate(resample(people, REPLICATES, 0)):
        threshold = threshold_at_fmr(np.repeat(values[~same], (drawn[first] * drawn[second])[~same]), 0.1)
        wanted = np.mean(np.repeat(values[same], drawn[first[same]]) < threshold)
        assert found.fnmr[row, 0] == pytest.approx(wanted)


def test_draw_rates_without_impostors_or_mates_has_no_figure() -> None:
    for first, second in (([0, 0], [0, 0]), ([0, 1], [1, 0])):
        sides = np.array(first), np.array(second)
        found = draw_rates(np.ones(2, np.float32), *sides, lambda _: 0, (0.1,), people=2, replicates=3)
        assert np.isnan(found.fnmr).all()


def test_areas_are_those_of_comparisons_drawn_by_person_with_thresholds_set_anew() -> None:
    rng = np.random.default_rng(6)
    people = np.repeat(np.arange(30), 3)
    embeddings = rng.normal(size=(30, 8))[people] + rng.normal(size=(90, 8))
    scores = score_all_pairs(embeddings, people, tail=0.5)
    quality = rng.integers(0, 9, 90).astype(np.float64)
    found = bootstrap_areas(scores, {"q": quality}, {"a": 0.01}, {"b": 0.05}, replicates=REPLICATES)["q"]
    worse, person = pair_quality(quality, scores.genuine_pairs), people[scores.genuine_pairs[:, 0]]
    wanted: dict[str, list[float]] = {"a": [], "b": []}
    for drawn in resample(30, REPLICATES, 0):
        pairs = drawn[people[scores.impostor_pairs]].prod(axis=1)
        count = int((3 * drawn).sum() ** 2 - ((3 * drawn) ** 2).sum()) // 2
        genuine = np.repeat(scores.genuine, drawn[person])
        at = {
            "a": threshold_at_fmr(np.repeat(scores.impostor, pairs), 0.01, count=count),
            "b": threshold_at_fnmr(genuine, 0.05),
        }
        for start, threshold in at.items():
            curve = trace_edc(genuine, np.repeat(worse, drawn[person]), threshold)
            wanted[start].append(partial_areas(curve)["0.3"])
    for start, areas in wanted.items():
        assert found[start]["0.3"] == pytest.approx(percentile_interval(areas))
    assert operate(scores, 0.01).fnmr > 0
