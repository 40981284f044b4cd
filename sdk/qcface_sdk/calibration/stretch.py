"""How much more alike fused templates of two people look than single pictures of them, and what thresholds must ask.

Thresholds are measured on single pictures. Fusing averages out what is of a picture and leaves what is of the person,
so the cosine of two fused templates lies further from 0, of one person and of two: at the threshold for single pictures
more strangers match than it says. The cure is to ask for more: threshold times a factor for each of the two templates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_positive_int
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation.bootstrap import REPLICATES, percentile_interval, resample
from qcface_sdk.evaluation.scores import number_labels, unit_rows
from qcface_sdk.evaluation.verification import MIN_IMPOSTOR_ERRORS
from qcface_sdk.measurements import LARGEST_STRETCH, FusedStretch, kept_noise

FMR = 1e-2
"""Rate at which the factor is measured: the factor falls a little with the rate, so it is on the strict side below."""

MOST_PEOPLE = 2000
"""People compared at most, drawn at random: 2 million pairs, which bounds memory and time."""

_SINGLE_DRAWS = 4
_ROOM = 4
_STEPS = 24


@dataclass(frozen=True, slots=True)
class _Pairs:
    """The most alike pairs of two people, most alike first."""

    similarity: NDArray[np.float64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]


def measure_stretch(
    embeddings: ArrayLike,
    labels: ArrayLike,
    artifact: str,
    runtime: str,
    origin: str,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> FusedStretch:
    """Measure the factor on people with two pictures or more.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Raw embeddings of pictures.
    labels : array_like of int or str, shape (N,)
        Who is on each.
    artifact, runtime, origin : str
        What made the embeddings, and of what; for the entry.
    replicates, seed : int
        Of the bootstrap by identity, and of the pictures drawn.

    Raises
    ------
    ShapeError, NotFiniteError
        If `embeddings` or `labels` have the wrong shape, or an embedding is zero or not finite.
    InputError
        If fewer than 3,000 pairs of people have two pictures each (78 people).

    Notes
    -----
    Let a unit embedding be ``s + n``, with s of the person and n of the picture, independent between pictures, and let
    r be the mean cosine of two pictures of one person, so that ``|s|^2 = r``. The mean of m pictures has the squared
    length ``r + (1 - r) / m``, and the noise in its dot product with anything falls by m. With k for the share of the
    squared dot product of two people that is of the people, the cosine therefore grows by g, where
    ``g(m)^2 = (k + (1 - k) / m) / (r + (1 - r) / m)``, and that is ``1 + (limit^2 - 1) w(m)`` with ``limit^2 = k / r``
    and ``w(m) = r (m - 1) / (1 + r (m - 1))``. One number is unknown, the limit. It is the one at which the templates
    of all pictures of everybody, each with its own factor, match two people at the rate at which single pictures of the
    same people do. Pictures that repeat each other, such as frames of a still scene, are less than so many independent
    ones; for them the factor asks for more than it must.
    """
    check_positive_int("replicates", replicates)
    rows = np.asarray(embeddings, np.float64)
    unit = unit_rows(rows).astype(np.float64)
    groups = _groups(number_labels(labels, len(rows)), seed)
    _check_people(len(groups))
    agreement = float(np.mean([_mean_cosine(unit[group]) for group in groups]))
    noise = kept_noise(agreement, np.array([len(group) for group in groups]))
    fused = _top(unit_rows(np.stack([rows[group].sum(axis=0) for group in groups])))
    rng = np.random.default_rng(seed)
    singles = _joined([_top(unit_rows(np.stack([unit[rng.choice(g)] for g in groups]))) for _ in range(_SINGLE_DRAWS)])
    limit = _limit(fused, singles, noise, np.ones(len(groups), np.int64))
    drawn = [_limit(fused, singles, noise, weight) for weight in resample(len(groups), replicates, seed)]
    low, high = percentile_interval(drawn)
    people, pairs = len(groups), _pairs_of(len(groups))
    known = f"templates of {people} people with two pictures or more against single pictures of them, at FMR {FMR:g}"
    interval = (min(low, limit), max(high, limit))
    agreement = min(max(agreement, 0.0), 1.0)
    return FusedStretch(artifact, runtime, agreement, limit, interval, people, pairs, f"{known}; {origin}")


def _pairs_of(people: int) -> int:
    return people * (people - 1) // 2


def _check_people(people: int) -> None:
    if FMR * _pairs_of(people) < MIN_IMPOSTOR_ERRORS:
        raise InputError(
            f"thresholds for fused templates need {MIN_IMPOSTOR_ERRORS / FMR:,.0f} pairs of people with two pictures "
            f"each, got {_pairs_of(people):,} of {people} such people; use more people"
        )


def _groups(person: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Return the rows of everybody with two pictures or more, of `MOST_PEOPLE` drawn ones if there are more."""
    order = np.argsort(person, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)
    several = [np.asarray(group, np.int64) for group in groups if len(group) > 1]
    if len(several) <= MOST_PEOPLE:
        return several
    chosen = np.random.default_rng(seed).choice(len(several), MOST_PEOPLE, replace=False)
    return [several[place] for place in np.sort(chosen)]


def _mean_cosine(unit: NDArray[np.float64]) -> float:
    count = len(unit)
    total = unit.sum(axis=0)
    return float(total @ total - count) / (count * (count - 1))


def _top(unit: NDArray[np.float32]) -> _Pairs:
    """Return the pairs of rows that can match at `_ROOM` times the rate."""
    first, second = np.triu_indices(len(unit), 1)
    scores = (unit @ unit.T)[first, second]
    keep = min(len(scores), int(np.ceil(_ROOM * FMR * len(scores))))
    best = np.argpartition(scores, len(scores) - keep)[len(scores) - keep :]
    return _sorted(scores[best].astype(np.float64), first[best], second[best])


def _joined(parts: list[_Pairs]) -> _Pairs:
    columns = ("similarity", "first", "second")
    return _sorted(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def _sorted(similarity: NDArray[np.float64], first: NDArray[np.int64], second: NDArray[np.int64]) -> _Pairs:
    order = np.argsort(-similarity, kind="stable")
    return _Pairs(similarity[order], first[order], second[order])


def _limit(fused: _Pairs, singles: _Pairs, noise: NDArray[np.float64], drawn: NDArray[np.int64]) -> float:
    """Return the limit at which fused templates match at the rate of single pictures, with people weighted."""
    total = (int(drawn.sum()) ** 2 - int((drawn * drawn).sum())) / 2
    allowed = FMR * total
    weights = np.cumsum(drawn[singles.first] * drawn[singles.second])
    place = min(int(np.searchsorted(weights, _SINGLE_DRAWS * allowed, side="right")), len(weights) - 1)
    threshold = float(singles.similarity[place])
    if not total or threshold <= 0:
        return float("nan")
    weight = drawn[fused.first] * drawn[fused.second]
    excess = (fused.similarity / threshold) ** 2
    low, high = 1.0, LARGEST_STRETCH
    for _ in range(_STEPS):
        middle = (low + high) / 2
        growth = 1.0 + (middle**2 - 1.0) * (1.0 - noise)
        matched = float(weight @ (excess >= growth[fused.first] * growth[fused.second]))
        low, high = (middle, high) if matched > allowed else (low, middle)
    return high
