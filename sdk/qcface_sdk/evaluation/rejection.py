"""Does quality find the comparisons that fail? Error against discard, at a fixed threshold.

The comparisons of the lowest quality are discarded first; a good measure lets the false non-match rate of the rest fall
fast. The threshold is set once, before anything is discarded. The quality of a comparison is the lower of its two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction
from qcface_sdk.errors import OptionError, ShapeError
from qcface_sdk.evaluation.bootstrap import REPLICATES, Difference, bootstrap_rates, percentile_interval, resample
from qcface_sdk.evaluation.scores import PairScores
from qcface_sdk.evaluation.verification import check_scores, operate

LIMITS = (0.2, 0.3, 0.95)
"""Discard shares up to which the partial areas are taken."""


@dataclass(frozen=True, slots=True)
class EdcCurve:
    """Error-versus-discard characteristic: a step function of the discarded share."""

    threshold: float
    """Similarity below which a genuine comparison fails, the same all along."""
    rejected: NDArray[np.float64]
    """(T,), shares discarded, rising from 0 to 1."""
    fnmr: NDArray[np.float64]
    """(T,), false non-match rate of the rest from this share up to the next; the last, of nothing, is 0."""

    def fnmr_at(self, share: float) -> float:
        """Return the false non-match rate when at most `share` of the comparisons is discarded."""
        # 1e-12: a share that is k / n up to rounding is that share.
        return float(self.fnmr[np.searchsorted(self.rejected, share + 1e-12, side="right") - 1])

    def factor_at(self, share: float) -> float:
        """Return what remains of the error at `share`: 1 without use, NaN if there was no error to begin with."""
        return self.fnmr_at(share) / float(self.fnmr[0]) if self.fnmr[0] > 0 else math.nan


def pair_quality(quality: ArrayLike, pairs: NDArray[Any]) -> NDArray[np.float64]:
    """Return the lower quality of the two faces of each pair.

    Parameters
    ----------
    quality : array_like of float, shape (N,)
        One number per face, higher is better.
    pairs : ndarray of int, shape (P, 2)
        Face numbers.

    Raises
    ------
    ShapeError, NotFiniteError
        If `quality` is no finite vector or a pair lies outside it.
    """
    values = check_scores("quality", quality)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs.size and not 0 <= pairs.min() <= pairs.max() < len(values)):
        raise ShapeError(f"pairs must be face numbers 0..{len(values) - 1} of shape (P, 2), got shape {pairs.shape}")
    return np.asarray(values[pairs].min(axis=1), np.float64)


def threshold_at_fnmr(genuine: ArrayLike, fnmr: float) -> float:
    """Return the largest genuine score below which no more than the share `fnmr` of the genuine scores lies.

    Raises
    ------
    ShapeError, NotFiniteError
        If there are no scores or one is not finite.
    OptionError
        If `fnmr` is out of range.
    """
    check_fraction("fnmr", fnmr)
    scores = np.sort(check_scores("genuine", genuine))
    if not len(scores):
        raise ShapeError("genuine must hold at least one score, got none")
    return float(scores[math.floor(fnmr * len(scores) + 1e-9)])


def trace_edc(
    genuine: ArrayLike, quality: ArrayLike, threshold: float, *, weights: ArrayLike | None = None
) -> EdcCurve:
    """Return the false non-match rate of the rest as the worst comparisons are discarded.

    Parameters
    ----------
    genuine : array_like of float, shape (P,)
        Similarities of genuine comparisons.
    quality : array_like of float, shape (P,)
        Quality of each comparison (`pair_quality`), higher is better.
    threshold : float
        Set on the whole data, by `operate` or `threshold_at_fnmr`.
    weights : array_like of float, shape (P,), optional
        How often a comparison counts; a bootstrap's counts.

    Returns
    -------
    EdcCurve
        Comparisons of equal quality are discarded together.

    Raises
    ------
    ShapeError, NotFiniteError
        If the arguments differ in length, are empty or not finite, or all weights are 0.

    Notes
    -----
    After [1]_ and its published code, which also closes the curve with the point (1, 0).

    References
    ----------
    .. [1] T. Schlett et al., Considerations on the evaluation of biometric quality assessment algorithms,
       arXiv 2303.13294.

    Examples
    --------
    >>> curve = trace_edc([0.1, 0.6, 0.2, 0.7], [10, 40, 20, 30], threshold=0.3)
    >>> curve.rejected.tolist(), curve.fnmr.round(3).tolist()
    ([0.0, 0.25, 0.5, 0.75, 1.0], [0.5, 0.333, 0.0, 0.0, 0.0])
    """
    scores, values = check_scores("genuine", genuine), check_scores("quality", quality)
    weight = np.ones(len(scores)) if weights is None else check_scores("weights", weights)
    if not scores.shape == values.shape == weight.shape or not weight.sum() > 0:
        raise ShapeError(
            "genuine, quality and weights must have one length and some weight, "
            f"got {scores.shape}, {values.shape}, {weight.shape}"
        )
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    gone = np.cumsum(weight[order])
    errors_gone = np.cumsum(weight[order] * (scores[order] < threshold))
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))[:-1]
    total, errors = gone[-1], errors_gone[-1]
    # A group at the top may have no weight in a resample: then nothing is left before the last group.
    last = last[gone[last] < total]
    rejected = np.concatenate([[0.0], gone[last] / total, [1.0]])
    fnmr = np.concatenate([[errors / total], (errors - errors_gone[last]) / (total - gone[last]), [0.0]])
    return EdcCurve(threshold, rejected, fnmr)


def partial_area(curve: EdcCurve, limit: float) -> float:
    """Return the area under the step curve from 0 to `limit`.

    Raises
    ------
    OptionError
        If `limit` does not lie in 0..1.
    """
    if not 0 < limit <= 1:
        raise OptionError(f"limit must lie above 0 and at most at 1, got {limit!r}")
    edges = np.minimum(curve.rejected, limit)
    return float(np.sum(np.diff(edges) * curve.fnmr[:-1]))


def ideal_area(fnmr: float, limit: float) -> float:
    """Return the area of a measure that discards exactly the failing comparisons first.

    Notes
    -----
    The rate of the rest is ``max(0, (e - r) / (1 - r))`` for a start at e; its integral to m = min(e, limit) is
    ``m + (1 - e) ln(1 - m)``. The code of arXiv 2303.13294 takes ``max(0, e - r)`` instead, which is a little smaller.

    Examples
    --------
    >>> round(ideal_area(0.05, 0.3), 6)
    0.001271
    """
    reach = min(fnmr, limit)
    return reach + (1 - fnmr) * math.log1p(-reach) if reach < 1 else 1.0


def excess_area(curve: EdcCurve, limit: float) -> float:
    """Return `partial_area` minus `ideal_area`: 0 for a perfect measure, lower is better.

    Raises
    ------
    OptionError
        If `limit` does not lie in 0..1.
    """
    return partial_area(curve, limit) - ideal_area(float(curve.fnmr[0]), limit)


def bootstrap_factor(
    scores: PairScores,
    qualities: Mapping[str, ArrayLike],
    fmr: float,
    *,
    share: float = 0.1,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Return ``factor_at(share)`` of several quality measures in each resample of the people.

    Parameters
    ----------
    scores : PairScores
        Of one recogniser.
    qualities : mapping of str to array_like of float, shape (N,)
        One number per face for each measure.
    fmr : float
        False match rate; its threshold is set anew in each resample, before discarding.
    share : float, default 0.1
        Discarded share of the genuine comparisons.
    replicates, seed : int
        As `bootstrap_rates`.

    Returns
    -------
    dict of str to ndarray of float64, shape (R,)
        All measures see the same resamples; NaN where there was no error or no pair.

    Raises
    ------
    ShapeError, NotFiniteError, OptionError
        As `bootstrap_rates` and `pair_quality`.
    """
    thresholds = bootstrap_rates(scores, [fmr], replicates=replicates, seed=seed).thresholds[:, 0]
    person = scores.subjects[scores.genuine_pairs[:, 0]]
    low = {name: pair_quality(values, scores.genuine_pairs) for name, values in qualities.items()}
    factors = {name: np.full(replicates, np.nan) for name in low}
    for row, drawn in enumerate(resample(scores.subject_count, replicates, seed)):
        if np.isnan(thresholds[row]):
            continue
        for name, quality in low.items():
            curve = trace_edc(scores.genuine, quality, float(thresholds[row]), weights=drawn[person])
            factors[name][row] = curve.factor_at(share)
    return factors


def compare_factor(
    scores: PairScores,
    first: ArrayLike,
    others: Mapping[str, ArrayLike],
    fmr: float,
    *,
    share: float = 0.1,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Return, for each other measure, the factor of the first minus its own; below 0 the first is the better one.

    Raises
    ------
    ShapeError, NotFiniteError, OptionError
        As `bootstrap_factor`.
    """
    measures = {"": first, **others}
    drawn = bootstrap_factor(scores, measures, fmr, share=share, replicates=replicates, seed=seed)
    threshold = operate(scores, fmr).threshold
    plain = {
        name: trace_edc(scores.genuine, pair_quality(values, scores.genuine_pairs), threshold).factor_at(share)
        for name, values in measures.items()
    }
    return {name: Difference(plain[""] - plain[name], percentile_interval(drawn[""] - drawn[name])) for name in others}


def partial_areas(curve: EdcCurve, limits: Sequence[float] = LIMITS) -> dict[str, float]:
    """Return `excess_area` at each limit, by the limit as text."""
    return {f"{limit:g}": excess_area(curve, limit) for limit in limits}
