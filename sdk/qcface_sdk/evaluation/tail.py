"""How impostor scores run out: a generalised Pareto tail, for rates that no count supports.

An extrapolation, always: it says what the scores would do if they went on as they end. It is offered with an interval
and flagged wherever it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import InputError, OptionError
from qcface_sdk.evaluation.bootstrap import resample
from qcface_sdk.evaluation.scores import PairScores

MIN_EXCEEDANCES = 300
"""Impostor scores above the start of a tail at least."""

MAX_EXCEEDANCES = 4000
"""A tail starts where about this many scores are left, but not below the share `LARGEST_SHARE`."""

LARGEST_SHARE = 0.005
"""Share of the impostor scores above the start of a tail at most: more would be body, not tail."""

SHAPE_LIMITS = (-0.5, 0.5)
"""Shapes a fit may take; at the lower end a maximum-likelihood fit loses its usual limits."""

_THETAS = 160


@dataclass(frozen=True, slots=True)
class TailFit:
    """Generalised Pareto tail: the rate above t is ``share * (1 + shape (t - start) / scale)^(-1/shape)``."""

    start: float
    """Similarity from which it was fitted."""
    share: float
    """Share of the impostor scores at or above `start`."""
    scale: float
    """Above 0."""
    shape: float
    """Within `SHAPE_LIMITS`."""
    draws: tuple[tuple[float, float, float], ...]
    """(share, scale, shape) of each bootstrap resample by identity."""
    impostors: int
    """Pairs of two people compared."""


def fit_tail(scores: PairScores, *, replicates: int = 100, seed: int = 0) -> TailFit:
    """Fit the tail of the impostor scores.

    Parameters
    ----------
    scores : PairScores
        From `score_all_pairs`.
    replicates : int, default 100
        Resamples of the people, at least 20.
    seed : int, default 0
        Of the resamples.

    Raises
    ------
    InputError
        If there are too few impostor scores.
    OptionError
        If `replicates` is below 20.

    Notes
    -----
    Peaks over a threshold [1]_; maximum likelihood on a profile of ``theta = shape / scale``, which leaves one number
    to search: ``shape = mean(log(1 + theta z))``. Resamples weigh a pair of s and t by how often both were drawn.

    References
    ----------
    .. [1] A. C. Davison, R. L. Smith, Models for exceedances over high thresholds, JRSS B 52(3), 1990.
    """
    if replicates < 20:
        raise OptionError(f"replicates must be at least 20, got {replicates}")
    wanted = min(MAX_EXCEEDANCES, math.floor(LARGEST_SHARE * scores.impostor_count), len(scores.impostor) - 1)
    if wanted < MIN_EXCEEDANCES:
        raise InputError(
            f"a tail needs {math.ceil(MIN_EXCEEDANCES / LARGEST_SHARE):,} impostor pairs at least, "
            f"got {scores.impostor_count:,}; use more people"
        )
    start = float(scores.impostor[wanted])
    excess = scores.impostor[:wanted].astype(np.float64) - start
    people = scores.subjects[scores.impostor_pairs[:wanted]]
    faces = np.bincount(scores.subjects)
    scale, shape = _fit(excess, np.ones(wanted))
    draws = []
    for drawn in resample(len(faces), replicates, seed):
        total = (int(drawn @ faces) ** 2 - int((drawn * drawn) @ (faces * faces))) // 2
        weight = (drawn[people[:, 0]] * drawn[people[:, 1]]).astype(np.float64)
        if total and weight.sum() > 0:
            seen = weight > 0
            draws.append((float(weight.sum() / total), *_fit(excess[seen], weight[seen])))
    return TailFit(start, wanted / scores.impostor_count, scale, shape, tuple(draws), scores.impostor_count)


def _fit(excess: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Return scale and shape of the likeliest tail within the limits."""
    total = float(weight.sum())
    mean = float(weight @ excess) / total
    largest = float(excess.max())
    # From just above -1/largest, where the tail would end before its own data, to far beyond an exponential.
    low, high = -0.999 / largest, 4.0 / mean
    best = (-math.inf, mean, 0.0)
    for theta in np.linspace(low, high, _THETAS):
        if abs(theta) * mean < 1e-9:
            continue
        shape = float(weight @ np.log1p(theta * excess)) / total
        if not SHAPE_LIMITS[0] <= shape <= SHAPE_LIMITS[1]:
            continue
        scale = shape / float(theta)
        likelihood = -math.log(scale) - shape - 1.0
        best = max(best, (likelihood, scale, shape))
    exponential = -math.log(mean) - 1.0
    return (mean, 0.0) if exponential >= best[0] else best[1:]
