"""Quality gates as promises that were measured: "FNMR at FMR f is at most x when quality >= q".

A promise is made to somebody who will count failures among other people, so it is a prediction bound: it allows for the
chance in the people it was measured on and for that in as many others. A confidence bound allows for the first alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError, OptionError, ShapeError
from qcface_sdk.evaluation.bootstrap import REPLICATES, resample_twice
from qcface_sdk.evaluation.verification import check_scores

CONFIDENCE = 0.99
"""One-sided: the share of samples of other people, as many of them, in which a promise is to hold."""

MIN_COMPARISONS = 30
"""Genuine comparisons that must pass a gate before anything is promised of it."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Genuine comparisons of enrolled faces with probes."""

    similarity: NDArray[np.float64]
    """(P,)."""
    enrolled: NDArray[np.float64]
    """(P,), magnitude, or quality, of the enrolled face."""
    probe: NDArray[np.float64]
    """(P,), the same of the probe."""
    person: NDArray[np.int64]
    """(P,), number of the person."""

    def __post_init__(self) -> None:
        shapes = {self.similarity.shape, self.enrolled.shape, self.probe.shape, self.person.shape}
        if len(shapes) != 1:
            raise ShapeError(f"comparisons must have columns of one length, got {sorted(shapes)}")

    @classmethod
    def of(cls, similarity: ArrayLike, enrolled: ArrayLike, probe: ArrayLike, person: ArrayLike) -> Comparisons:
        """Check the numbers and return the comparisons."""
        numbers: NDArray[np.int64] = np.asarray(person, np.int64)
        similarities, magnitudes = check_scores("similarity", similarity), check_scores("enrolled", enrolled)
        return cls(similarities, magnitudes, check_scores("probe", probe), numbers)

    def both_ways(self) -> Comparisons:
        """Return every comparison twice, with each of its faces enrolled once."""
        return Comparisons(
            np.tile(self.similarity, 2),
            np.concatenate([self.enrolled, self.probe]),
            np.concatenate([self.probe, self.enrolled]),
            np.tile(self.person, 2),
        )


@dataclass(frozen=True, slots=True)
class GateFit:
    """What was measured of the comparisons that pass a gate."""

    minimum: float
    """Smallest quality that passes."""
    promise: float
    """What the gate states: at most this rate in 99 % of the samples of as many other people (`measure_gate`)."""
    fnmr: float
    """Measured false non-match rate of what passes."""
    comparisons: int
    """Genuine comparisons that pass."""
    share: float
    """Share of all comparisons that pass."""


def measure_gate(
    comparisons: Comparisons,
    threshold: float,
    minimum: float,
    *,
    other_minimum: float | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> GateFit:
    """Measure the false non-match rate of comparisons whose faces pass a gate.

    Parameters
    ----------
    comparisons : Comparisons
        With qualities.
    threshold : float
        Similarity below which a comparison fails.
    minimum : float
        Quality of the gate. It is asked of both faces, unless `other_minimum` is given.
    other_minimum : float, optional
        Quality asked of the probe instead; `minimum` is then that of the enrolled face alone.
    replicates, seed : int
        Of the bootstrap by identity.

    Raises
    ------
    InputError
        If fewer than 30 comparisons pass: nothing can be promised.

    Notes
    -----
    Let F be the rate measured on these S people, p that of all people, and F* that of S others. F and F* are
    independent with one mean and one variance v, so F* - F has the variance 2 v: a bound on F* lies about sqrt(2) times
    as far above F as one on p. The bootstrap by identity shows it without assuming a shape. A first resample of the
    people stands for what all people could be, given these; a resample of that resample is then a sample of others, and
    the promise is the 99 % quantile of its rates. For small v that is F + 2.33 sqrt(2 v); for rates near 0 it keeps the
    skew, which adding and taking the root would lose.

    People who were not met cannot be drawn, and where nobody failed no resample fails. Therefore one more person is
    added, with the average number of comparisons, who fails all of them. If none of n people with one comparison each
    failed, this promises about 6 / n, which is also the exact bound for n others: of K failures in both samples all
    lie in the second with probability 2^-K, below 1 % from K = 7 on.
    """
    check_positive_int("replicates", replicates)
    probe_minimum = minimum if other_minimum is None else other_minimum
    passed = (comparisons.enrolled >= minimum) & (comparisons.probe >= probe_minimum)
    count = int(passed.sum())
    if count < MIN_COMPARISONS:
        raise InputError(
            f"a gate at quality {minimum:g} needs {MIN_COMPARISONS} genuine comparisons that pass, got {count}; "
            "use more people with several pictures each, or a lower gate"
        )
    failed = passed & (comparisons.similarity < threshold)
    people = int(comparisons.person.max()) + 1
    passing = np.bincount(comparisons.person[passed], minlength=people)
    failing = np.bincount(comparisons.person[failed], minlength=people)
    promise = float(np.quantile(_rates_of_others(passing, failing, replicates, seed), CONFIDENCE))
    return GateFit(minimum, promise, float(failed.sum()) / count, count, count / len(passed))


def _rates_of_others(passing: NDArray[np.int64], failing: NDArray[np.int64], replicates: int, seed: int) -> list[float]:
    """Return the rates that as many other people could show; see the notes of `measure_gate`."""
    extra = float(passing[passing > 0].mean())
    all_passing, all_failing = np.append(passing, extra), np.append(failing, extra)
    rates = []
    for drawn in resample_twice(len(all_passing), replicates, seed):
        total = float(drawn @ all_passing)
        if total:
            rates.append(float(drawn @ all_failing) / total)
    return rates


def find_gate(
    comparisons: Comparisons,
    threshold: float,
    fnmr: float,
    *,
    candidates: Sequence[float] = tuple(range(100)),
    replicates: int = 200,
    seed: int = 0,
) -> GateFit:
    """Return the lowest of `candidates` whose promise is at most `fnmr`, asked of both faces.

    Raises
    ------
    OptionError
        If `fnmr` is out of range or there are no candidates.
    InputError
        If no gate keeps it; the message names the best that one does.
    """
    check_fraction("fnmr", fnmr)
    if not len(candidates):
        raise OptionError("candidates must hold at least one quality, got none")
    best: GateFit | None = None
    for minimum in sorted(candidates):
        try:
            fit = measure_gate(comparisons, threshold, minimum, replicates=replicates, seed=seed)
        except InputError:
            break
        if fit.promise <= fnmr:
            return fit
        if best is None or fit.promise < best.promise:
            best = fit
    reached = "none could be measured" if best is None else f"the best, from {best.minimum:g}, keeps {best.promise:.4f}"
    raise InputError(f"no quality gate keeps an FNMR of {fnmr:g} on these data: {reached}")
