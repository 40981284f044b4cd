"""Error rates of one-to-one verification: ten folds, thresholds at a false match rate, ROC.

Two faces match when their similarity is at least the threshold. Rates are counts over counts, never interpolated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError, NotFiniteError, OptionError, ShapeError
from qcface_sdk.evaluation.scores import PairScores

MIN_IMPOSTOR_ERRORS = 30
"""False matches at a threshold from which its rate counts as measured (rule of 30)."""


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Accuracy where each fold is judged with the best threshold of the others."""

    accuracies: tuple[float, ...]
    """Share of right answers in each fold, 0..1."""
    thresholds: tuple[float, ...]
    """Threshold used in each fold, from all other folds."""

    @property
    def mean(self) -> float:
        """Mean over the folds, 0..1."""
        return float(np.mean(self.accuracies))

    @property
    def std(self) -> float:
        """Standard deviation over the folds (divided by the number of folds, as is usual for LFW)."""
        return float(np.std(self.accuracies))


@dataclass(frozen=True, slots=True)
class RocCurve:
    """False and true match rate at every threshold that changes them, from the strictest to the loosest."""

    thresholds: NDArray[np.float64]
    """(T,), falling; the first is above every score."""
    fmr: NDArray[np.float64]
    """(T,), share of impostor pairs that match, rising from 0 to 1."""
    tmr: NDArray[np.float64]
    """(T,), share of genuine pairs that match, rising from 0 to 1."""

    @property
    def area(self) -> float:
        """Area under the curve by trapezoids, 0..1: the chance that a genuine pair scores above an impostor pair."""
        return float(np.sum(np.diff(self.fmr) * (self.tmr[1:] + self.tmr[:-1]) / 2))


@dataclass(frozen=True, slots=True)
class Operation:
    """What a threshold does on a set of comparisons."""

    fmr: float
    """False match rate that was asked for."""
    threshold: float
    """Smallest threshold that does not exceed it, -1..1 (or just above)."""
    false_matches: int
    """Impostor pairs that match at `threshold`."""
    impostors: int
    """Impostor pairs compared."""
    genuines: int
    """Genuine pairs compared."""
    fnmr: float
    """Share of the genuine pairs that do not match, 0..1."""
    supported: bool
    """Whether there are enough impostor pairs to speak of this rate: see `is_supported`."""

    @property
    def tmr(self) -> float:
        """True match rate, ``1 - fnmr``, also called TAR."""
        return 1.0 - self.fnmr


def evaluate_folds(similarity: ArrayLike, same: ArrayLike, *, folds: int = 10) -> FoldAccuracy:
    """Return the accuracy of each fold with the threshold that is best on the other folds.

    Parameters
    ----------
    similarity : array_like of float, shape (P,)
        Scores of the pairs, fold after fold.
    same : array_like of bool, shape (P,)
        Whether a pair shows one person.
    folds : int, default 10
        Equal consecutive parts; P must be a multiple of it.

    Returns
    -------
    FoldAccuracy

    Raises
    ------
    ShapeError, NotFiniteError
        If the arguments differ in length, P is no multiple of `folds`, or a score is not finite.
    OptionError
        If `folds` is below 2.

    Notes
    -----
    The protocol of LFW, view 2 [1]_. The threshold is searched over all scores, not over a grid: half-way between two
    neighbouring scores; of equally good ones the middle is taken.

    References
    ----------
    .. [1] G. Huang, E. Learned-Miller, Labeled Faces in the Wild: updates and new reporting procedures, UMass 2014.
    """
    if check_positive_int("folds", folds) < 2:
        raise OptionError(f"folds must be at least 2, got {folds}")
    scores = check_scores("similarity", similarity)
    answers: NDArray[np.bool_] = np.asarray(same, dtype=np.bool_)
    if answers.shape != scores.shape or len(scores) % folds or not len(scores):
        raise ShapeError(
            f"similarity and same must have one length, a multiple of {folds}, got {scores.shape} and {answers.shape}"
        )
    fold = np.repeat(np.arange(folds), len(scores) // folds)
    accuracies, thresholds = [], []
    for held in range(folds):
        threshold = find_best_threshold(scores[fold != held], answers[fold != held])
        part = fold == held
        accuracies.append(float(np.mean((scores[part] >= threshold) == answers[part])))
        thresholds.append(threshold)
    return FoldAccuracy(tuple(accuracies), tuple(thresholds))


def find_best_threshold(similarity: NDArray[np.float64], same: NDArray[np.bool_]) -> float:
    """Return the threshold with the most right answers; of equally good ones the middle, between two scores."""
    order = np.argsort(similarity, kind="stable")
    scores, answers = similarity[order], same[order]
    # right[i]: right answers when the i lowest scores are called different.
    right = np.concatenate([[0], np.cumsum(~answers)]) + (answers.sum() - np.concatenate([[0], np.cumsum(answers)]))
    inner = (scores[1:] + scores[:-1]) / 2
    cuts = np.concatenate([[scores[0]], inner, [np.nextafter(scores[-1], np.inf)]])
    # A cut between two equal scores is none.
    right[1:-1][scores[1:] == scores[:-1]] = -1
    best = np.flatnonzero(right == right.max())
    return float(cuts[best[len(best) // 2]])


def threshold_at_fmr(impostor: ArrayLike, fmr: float, *, count: int | None = None) -> float:
    """Return the smallest threshold at which no more than the share `fmr` of the impostor pairs matches.

    Parameters
    ----------
    impostor : array_like of float, shape (K,)
        Impostor scores in any order: all of them, or the highest K of `count`.
    fmr : float
        False match rate, between 0 and 1.
    count : int, optional
        Number of impostor pairs in all, if only the highest scores are given.

    Returns
    -------
    float
        The next number above the highest score that must not match, so that ``sum(impostor >= t) / count <= fmr``
        holds and fails for any smaller threshold. Scores that are equal match together or not at all. For float32
        scores the result is a float32 number too: NumPy compares float32 scores with a Python float in float32, where
        a finer step would be rounded away.

    Raises
    ------
    ShapeError, NotFiniteError
        If there are no scores or one is not finite.
    OptionError
        If `fmr` is out of range, or so large that it lies outside the K scores.
    """
    check_fraction("fmr", fmr)
    scores = check_scores("impostor", impostor)
    single = isinstance(impostor, np.ndarray) and impostor.dtype == np.float32
    total = len(scores) if count is None else check_positive_int("count", count)
    if not len(scores) or total < len(scores):
        raise ShapeError(f"impostor must hold 1 to {total} scores, got {len(scores)}")
    allowed = count_allowed(fmr, total)
    if allowed >= len(scores):
        raise OptionError(
            f"fmr {fmr:g} of {total} impostor pairs needs the {allowed + 1} highest scores, got {len(scores)}; "
            "keep a longer tail"
        )
    first_refused = np.partition(scores, len(scores) - 1 - allowed)[len(scores) - 1 - allowed]
    return next_above(first_refused, single=single)


def next_above(score: float, *, single: bool) -> float:
    """Return the next number above `score`, of float32 if `single`, else of float64."""
    return float(np.nextafter(np.float32(score), np.float32(np.inf)) if single else np.nextafter(score, np.inf))


def count_allowed(fmr: float, impostors: int) -> int:
    """Return how many of `impostors` pairs may match at false match rate `fmr`, rounding down."""
    # 1e-9 lets 0.001 x 3000 be 3 and not 2.9999.
    return math.floor(fmr * impostors + 1e-9)


def is_supported(fmr: float, impostors: int) -> bool:
    """Return whether `impostors` comparisons are enough to speak of a false match rate.

    Notes
    -----
    The rule of 30 [1]_: with at least 30 errors the true rate lies, with 90 % confidence, within 30 % of the measured
    one. With fewer than ``3 / fmr`` comparisons not even "below `fmr`" can be said with 95 % confidence when no error
    is seen (rule of three); both are in ISO/IEC 19795-1. Both suppose independent comparisons; those of a few people
    among each other are not, so an interval by identity is the better guide.

    References
    ----------
    .. [1] G. Doddington et al., The NIST speaker recognition evaluation, Speech Communication 31, 2000, section 3.

    Examples
    --------
    >>> is_supported(1e-3, 3000), is_supported(1e-3, 30000)
    (False, True)
    """
    return count_allowed(fmr, impostors) >= MIN_IMPOSTOR_ERRORS


def operate(scores: PairScores, fmr: float) -> Operation:
    """Return threshold and false non-match rate at a false match rate over all pairs of a set.

    Raises
    ------
    OptionError
        If `fmr` is out of range or above ``scores.largest_fmr``.
    """
    threshold = threshold_at_fmr(scores.impostor, fmr, count=scores.impostor_count)
    return Operation(
        fmr=fmr,
        threshold=threshold,
        false_matches=int(np.count_nonzero(scores.impostor >= threshold)),
        impostors=scores.impostor_count,
        genuines=len(scores.genuine),
        fnmr=false_non_match_rate(scores.genuine, threshold),
        supported=is_supported(fmr, scores.impostor_count),
    )


def false_non_match_rate(genuine: ArrayLike, threshold: float) -> float:
    """Return the share of genuine scores below a threshold.

    Raises
    ------
    ShapeError, NotFiniteError
        If there are no scores or one is not finite.
    """
    scores = check_scores("genuine", genuine)
    if not len(scores):
        raise ShapeError("genuine must hold at least one score, got none")
    return float(np.mean(scores < threshold))


def trace_roc(genuine: ArrayLike, impostor: ArrayLike) -> RocCurve:
    """Return the whole ROC curve of two sets of scores.

    Raises
    ------
    ShapeError, NotFiniteError
        If a set is empty or a score is not finite.
    """
    matched, unmatched = np.sort(check_scores("genuine", genuine)), np.sort(check_scores("impostor", impostor))
    if not len(matched) or not len(unmatched):
        raise ShapeError(f"genuine and impostor must not be empty, got {len(matched)} and {len(unmatched)} scores")
    distinct = np.unique(np.concatenate([matched, unmatched]))[::-1]
    thresholds = np.concatenate([[np.nextafter(distinct[0], np.inf)], distinct])
    tmr = 1.0 - np.searchsorted(matched, thresholds, side="left") / len(matched)
    fmr = 1.0 - np.searchsorted(unmatched, thresholds, side="left") / len(unmatched)
    return RocCurve(thresholds, fmr, tmr)


def check_scores(name: str, values: Any) -> NDArray[np.float64]:
    """Return scores as a float64 vector, all finite."""
    try:
        scores: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers of shape (N,), got {type(values).__name__}") from error
    if scores.ndim != 1:
        raise ShapeError(f"{name} must be numbers of shape (N,), got shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise NotFiniteError(f"{name} must be finite, got NaN or infinity; drop those faces first")
    return scores
