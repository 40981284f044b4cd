"""Quality gates as promises that were measured: "FNMR at FMR f is at most x when quality >= q"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError, OptionError, ShapeError
from qcface_sdk.evaluation.bootstrap import REPLICATES, resample
from qcface_sdk.evaluation.verification import check_scores

CONFIDENCE = 0.95
"""One-sided: in this share of the resamples the rate stays below the promise."""

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
    """Upper end of a one-sided 95 % bootstrap interval by identity of `fnmr`: what the gate states."""
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
    Where no comparison fails, the promise is 3/n (rule of three), which a bootstrap cannot see.
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
    rates = []
    for drawn in resample(people, replicates, seed):
        total = int(drawn @ passing)
        if total:
            rates.append(float(drawn @ failing) / total)
    promise = max(float(np.quantile(rates, CONFIDENCE)), 3.0 / count)
    return GateFit(minimum, min(promise, 1.0), float(failed.sum()) / count, count, count / len(passed))


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
