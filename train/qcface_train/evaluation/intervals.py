"""Intervals of the figures that are no plain mean: each is formed anew in every resample of the people.

All of them see the same people drawn (equal seeds), so that figures of one evaluation can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import InputError
from qcface_sdk.evaluation import (
    PairScores,
    bootstrap_rates,
    pair_quality,
    partial_areas,
    percentile_interval,
    resample,
    trace_edc,
)
from qcface_sdk.evaluation.bootstrap import BootstrapRates, bootstrap_matches, tail_length

Interval = list[float] | None
"""Lower and upper end, or None where too few resamples gave a figure."""

Numbers = NDArray[np.float64]
People = NDArray[np.int64]


def interval_of(samples: Numbers) -> Interval:
    """Return the bootstrap interval of a figure, or None where too many resamples had none."""
    try:
        return list(percentile_interval(samples))
    except InputError:
        return None


def draw_rates(
    values: NDArray[np.float32],
    first: People,
    second: People,
    total: Callable[[People], int],
    fmrs: Sequence[float],
    *,
    people: int,
    replicates: int,
) -> BootstrapRates:
    """Return the error rates of scores of pairs, each of a `first` and a `second` person (P,), in each resample.

    Parameters
    ----------
    total : callable
        From how often each person was drawn to the number of impostor pairs.
    people : int
        Number of people.
    """
    same = first == second
    others = np.flatnonzero(~same)
    kept = tail_length(len(others), max(fmrs))
    if kept < len(others):
        others = others[np.argpartition(-values[others], kept)[:kept]]
    highest = others[np.argsort(-values[others], kind="stable")]
    return bootstrap_matches(
        values[same],
        first[same],
        values[highest],
        (first[highest], second[highest]),
        total,
        fmrs,
        people=people,
        replicates=replicates,
    )


def bootstrap_misses(
    mated: NDArray[np.float32],
    mated_people: People,
    strangers: NDArray[np.float32],
    stranger_people: People,
    fpirs: Sequence[float],
    *,
    people: int,
    replicates: int,
) -> list[Interval]:
    """Return the interval of the share of mated searches below the threshold at each false positive rate.

    Both the probes and the strangers, who set the threshold, are resampled by person; the gallery stays.
    """
    order = np.argsort(-strangers, kind="stable")
    who = stranger_people[order]
    drawn = bootstrap_matches(
        mated,
        mated_people,
        strangers[order],
        (who,),
        lambda counts: int(counts[who].sum()),
        fpirs,
        people=people,
        replicates=replicates,
    )
    return [interval_of(column) for column in drawn.fnmr.T]


def bootstrap_span(
    values: Numbers, person: People, span: Callable[[float, float], float], *, people: int, replicates: int
) -> Interval:
    """Return the interval of what `span` makes of the 5th and the 95th percentile of some people's values."""
    order = np.argsort(values, kind="stable")
    ordered, who = values[order], person[order]
    samples = np.full(replicates, np.nan)
    for row, drawn in enumerate(resample(people, replicates, 0)):
        places = np.cumsum(drawn[who])
        if not places[-1]:
            continue
        # As np.percentile of the values, each as often as its person was drawn.
        wanted = np.array([0.05, 0.95]) * (places[-1] - 1)
        below = np.searchsorted(places, np.floor(wanted), side="right")
        above = np.searchsorted(places, np.ceil(wanted), side="right")
        low, high = ordered[below] + (wanted - np.floor(wanted)) * (ordered[above] - ordered[below])
        samples[row] = span(float(low), float(high))
    return interval_of(samples)


def bootstrap_areas(
    scores: PairScores,
    qualities: Mapping[str, Numbers],
    fmrs: Mapping[str, float],
    fnmrs: Mapping[str, float],
    *,
    replicates: int,
) -> dict[str, dict[str, dict[str, Interval]]]:
    """Return the intervals of the partial areas minus the ideal ones, by measure, start and limit.

    Parameters
    ----------
    scores : PairScores
        Of one recogniser.
    qualities : mapping of str to ndarray of float64, shape (N,)
        One number per face for each measure.
    fmrs, fnmrs : mapping of str to float
        Rates that set the threshold of a start, anew in each resample.
    replicates : int
        Resamples.
    """
    thresholds = _draw_starts(scores, fmrs, fnmrs, replicates)
    person = scores.subjects[scores.genuine_pairs[:, 0]]
    samples: dict[str, dict[str, dict[str, list[float]]]] = {}
    for name, values in qualities.items():
        worse = pair_quality(values, scores.genuine_pairs)
        order = np.argsort(worse, kind="stable")  # sorted once, so that each curve need not sort
        genuine, worse, who = scores.genuine[order], worse[order], person[order]
        samples[name] = {start: {} for start in thresholds}
        found = samples[name]
        for row, drawn in enumerate(resample(scores.subject_count, replicates, 0)):
            for start, column in thresholds.items():
                if np.isnan(column[row]):
                    continue
                curve = trace_edc(genuine, worse, float(column[row]), weights=drawn[who])
                for limit, area in partial_areas(curve).items():
                    found[start].setdefault(limit, []).append(area)
    return {
        name: {
            start: {limit: interval_of(np.array(areas)) for limit, areas in limits.items()}
            for start, limits in found.items()
        }
        for name, found in samples.items()
    }


def _draw_starts(
    scores: PairScores, fmrs: Mapping[str, float], fnmrs: Mapping[str, float], replicates: int
) -> dict[str, Numbers]:
    """Return the threshold (R,) of each start in each resample; NaN where there was no pair."""
    at = bootstrap_rates(scores, list(fmrs.values()), replicates=replicates).thresholds
    starts = {name: at[:, column] for column, name in enumerate(fmrs)}
    starts |= {name: np.full(replicates, np.nan) for name in fnmrs}
    order = np.argsort(scores.genuine, kind="stable")
    who = scores.subjects[scores.genuine_pairs[order, 0]]
    for row, drawn in enumerate(resample(scores.subject_count, replicates, 0)):
        places = np.cumsum(drawn[who])
        for name, fnmr in fnmrs.items():
            if places[-1]:
                place = np.searchsorted(places, np.floor(fnmr * places[-1] + 1e-9), side="right")
                starts[name][row] = scores.genuine[order[place]]
    return starts
