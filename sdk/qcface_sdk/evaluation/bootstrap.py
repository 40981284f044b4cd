"""How far a measured rate could be off: resampling the people, not the comparisons.

Comparisons that share a person are not independent, so a bootstrap over comparisons gives intervals that are too
narrow. Here whole people are drawn with replacement; a comparison then counts as often as both its people were drawn
together. Equal seeds draw equal people, which makes two systems on the same faces comparable pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError, OptionError, ShapeError
from qcface_sdk.evaluation.scores import PairScores
from qcface_sdk.evaluation.verification import count_allowed, next_above

CONFIDENCE = 0.95
REPLICATES = 1000

# How much longer than the plain tail the kept one must be: the same scores weigh more in some resamples.
_TAIL_ROOM = 2


@dataclass(frozen=True, slots=True)
class BootstrapRates:
    """Thresholds and false non-match rates of each resample at each false match rate."""

    fmrs: tuple[float, ...]
    """False match rates asked for (F of them)."""
    thresholds: NDArray[np.float64]
    """(R, F); NaN where a resample held no pair of two people or no pair of one."""
    fnmr: NDArray[np.float64]
    """(R, F), 0..1; NaN as `thresholds`."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference of a rate between two systems measured on the same faces."""

    value: float
    """First minus second."""
    interval: tuple[float, float]
    """Bootstrap interval of the difference."""

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.interval[0] > 0 or self.interval[1] < 0


def resample(subjects: int, replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each of `subjects` people was drawn, `replicates` times.

    Notes
    -----
    S draws with replacement out of S people [1]_. Equal arguments yield equal draws.

    References
    ----------
    .. [1] R. Bolle, N. Ratha, S. Pankanti, Error analysis of pattern recognition systems: the subsets bootstrap,
       Computer Vision and Image Understanding 93(1), 2004.
    """
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        yield np.bincount(rng.integers(0, subjects, size=subjects), minlength=subjects)


def resample_twice(subjects: int, replicates: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each of `subjects` people was drawn from a draw of them, `replicates` times.

    Notes
    -----
    The first draw stands for a population that these people could come from, the second for as many others from it. So
    a figure varies over these draws as it would between two samples of people: twice the variance of `resample`.
    """
    rng = np.random.default_rng(seed)
    for _ in range(replicates):
        first = np.bincount(rng.integers(0, subjects, size=subjects), minlength=subjects)
        yield rng.multinomial(subjects, first / subjects)


def bootstrap_rates(
    scores: PairScores, fmrs: Sequence[float], *, replicates: int = REPLICATES, seed: int = 0
) -> BootstrapRates:
    """Return threshold and false non-match rate at each false match rate, in each resample of the people.

    Parameters
    ----------
    scores : PairScores
        From `score_all_pairs`.
    fmrs : sequence of float
        False match rates.
    replicates : int, default 1000
        Resamples.
    seed : int, default 0
        Equal seeds draw equal people.

    Returns
    -------
    BootstrapRates

    Raises
    ------
    OptionError
        If a rate is out of range, or too large for the kept tail of impostor scores.

    Notes
    -----
    A genuine pair of person s weighs c_s, an impostor pair of s and t weighs c_s c_t, where c counts how often a person
    was drawn; pairs of two copies of one person are left out. This is the pigeonhole bootstrap [1]_; for the impostor
    side it errs on the wide side.

    References
    ----------
    .. [1] A. B. Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.
    """
    rates = tuple(check_fraction("fmr", fmr) for fmr in fmrs)
    length = _kept_length(scores, max(rates, default=0.5))
    faces = np.bincount(scores.subjects)

    def total(drawn: NDArray[np.int64]) -> int:
        return (int(drawn @ faces) ** 2 - int((drawn * drawn) @ (faces * faces))) // 2

    first, second = scores.subjects[scores.impostor_pairs[:length]].T
    return bootstrap_matches(
        scores.genuine,
        scores.subjects[scores.genuine_pairs[:, 0]],
        scores.impostor[:length],
        (first, second),
        total,
        rates,
        people=len(faces),
        replicates=replicates,
        seed=seed,
    )


def bootstrap_matches(
    genuine: NDArray[np.float32],
    genuine_people: NDArray[np.int64],
    impostor: NDArray[np.float32],
    impostor_people: Sequence[NDArray[np.int64]],
    total: Callable[[NDArray[np.int64]], int],
    fmrs: Sequence[float],
    *,
    people: int,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> BootstrapRates:
    """Do as `bootstrap_rates` with comparisons of any kind, such as those of templates or of strangers with a gallery.

    Parameters
    ----------
    genuine, genuine_people : ndarray, shape (G,)
        Scores of genuine comparisons, and the number of the person of each.
    impostor : ndarray of float32, shape (K,)
        The `tail_length` highest impostor scores, highest first.
    impostor_people : sequence of ndarray of int64, shape (K,)
        Numbers of the people of each impostor comparison; it counts the product of how often they were drawn.
    total : callable
        From how often each person was drawn to the number of all impostor comparisons.
    fmrs : sequence of float
        False match rates.
    people : int
        Number of people.
    replicates, seed : int
        As `bootstrap_rates`.
    """
    check_positive_int("replicates", replicates)
    rates = tuple(check_fraction("fmr", fmr) for fmr in fmrs)
    order = np.argsort(genuine, kind="stable")
    ordered = genuine[order].astype(np.float64)
    person = genuine_people[order]
    thresholds = np.full((replicates, len(rates)), np.nan)
    fnmr = np.full_like(thresholds, np.nan)
    for row, drawn in enumerate(resample(people, replicates, seed)):
        impostors = total(drawn)
        matched = np.cumsum(drawn[person])
        if impostors == 0 or not matched[-1:].any():
            continue
        weight = np.ones(len(impostor), np.int64)
        for side in impostor_people:
            weight *= drawn[side]
        weight = np.cumsum(weight)
        for column, fmr in enumerate(rates):
            threshold = _weighted_threshold(impostor, weight, count_allowed(fmr, impostors))
            below = int(np.searchsorted(ordered, threshold, side="left"))
            thresholds[row, column] = threshold
            fnmr[row, column] = matched[below - 1] / matched[-1] if below else 0.0
    return BootstrapRates(rates, thresholds, fnmr)


def tail_length(total: int, fmr: float) -> int:
    """Return how many of the highest of `total` impostor scores a bootstrap at `fmr` needs."""
    return min(total, _TAIL_ROOM * (count_allowed(fmr, total) + 1) + 1000)


def _kept_length(scores: PairScores, fmr: float) -> int:
    kept, total = len(scores.impostor), scores.impostor_count
    wanted = tail_length(total, fmr)
    if kept < min(total, _TAIL_ROOM * (count_allowed(fmr, total) + 1)):
        raise OptionError(
            f"fmr {fmr:g} needs the {wanted} highest of {total} impostor scores, got {kept}; "
            "pass a larger tail to score_all_pairs"
        )
    return min(kept, wanted)


def _weighted_threshold(tail: NDArray[np.float32], weight: NDArray[np.int64], allowed: int) -> float:
    # The first score at which more than `allowed` pairs would match must not match.
    refused = min(int(np.searchsorted(weight, allowed, side="right")), len(tail) - 1)
    return next_above(float(tail[refused]), single=True)


def percentile_interval(samples: ArrayLike, *, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the interval that holds the middle share `confidence` of the resamples.

    Parameters
    ----------
    samples : array_like of float, shape (R,)
        A figure in each resample; NaN where it could not be formed.
    confidence : float, default 0.95
        Between 0 and 1.

    Raises
    ------
    ShapeError
        If `samples` is no vector.
    InputError
        If more than a tenth of the resamples is NaN: too few people.
    """
    check_fraction("confidence", confidence)
    values: NDArray[np.float64] = np.asarray(samples, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeError(f"samples must be numbers of shape (R,), got shape {values.shape}")
    usable = values[~np.isnan(values)]
    if len(usable) < 0.9 * len(values) or not len(usable):
        raise InputError(f"only {len(usable)} of {len(values)} resamples gave a figure; use more people")
    low, high = np.quantile(usable, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def compare_fnmr(
    first: PairScores, second: PairScores, fmr: float, *, replicates: int = REPLICATES, seed: int = 0
) -> Difference:
    """Return the difference in false non-match rate of two systems at one false match rate, each at its own threshold.

    Parameters
    ----------
    first, second : PairScores
        Of the same faces in the same order.
    fmr : float
        False match rate.
    replicates, seed : int
        As `bootstrap_rates`.

    Returns
    -------
    Difference
        First minus second; both sides of each resample use the same people.

    Raises
    ------
    ShapeError
        If the two were not measured on the same faces.
    OptionError
        As `bootstrap_rates`.
    """
    if not np.array_equal(first.subjects, second.subjects):
        raise ShapeError("first and second must be scores of the same faces in the same order, got other labels")
    drawn = [bootstrap_rates(scores, [fmr], replicates=replicates, seed=seed).fnmr[:, 0] for scores in (first, second)]
    plain = [_plain_fnmr(scores, fmr) for scores in (first, second)]
    return Difference(plain[0] - plain[1], percentile_interval(drawn[0] - drawn[1]))


def _plain_fnmr(scores: PairScores, fmr: float) -> float:
    allowed = count_allowed(fmr, scores.impostor_count)
    return float(np.mean(scores.genuine < next_above(float(scores.impostor[allowed]), single=True)))


def bootstrap_mean(
    values: ArrayLike, subjects: ArrayLike, *, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float]:
    """Return a bootstrap interval of the mean of one value per face, by identity.

    Parameters
    ----------
    values : array_like of float, shape (N,)
    subjects : array_like of int or str, shape (N,)
        Whose face it is.

    Raises
    ------
    ShapeError
        If the two differ in length or are empty.
    """
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    names, person = np.unique(np.asarray(subjects), return_inverse=True)
    if numbers.ndim != 1 or numbers.shape != person.shape or not len(numbers):
        raise ShapeError(f"values and subjects must have one length, got {numbers.shape} and {person.shape}")
    sums = np.bincount(person, weights=numbers)
    faces = np.bincount(person)
    means = [float(drawn @ sums / (drawn @ faces)) for drawn in resample(len(names), replicates, seed)]
    return percentile_interval(means)
