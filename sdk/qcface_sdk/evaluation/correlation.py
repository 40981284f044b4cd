"""Rank correlation, and whether magnitude falls as one face is damaged more."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.errors import NotFiniteError, ShapeError
from qcface_sdk.evaluation.verification import check_scores

_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class LadderCorrelation:
    """How magnitude follows the severity of one kind of damage, face by face."""

    per_face: NDArray[np.float64]
    """(F,), Spearman correlation of severity and magnitude of each face, -1..1; -1 is ideal, a constant gives 0."""
    monotone_share: float
    """Share of the faces whose magnitude falls at every step, 0..1."""

    @property
    def mean(self) -> float:
        """Mean over the faces, -1..1."""
        return float(self.per_face.mean())


def rank(values: ArrayLike) -> NDArray[np.float64]:
    """Return ranks 1..N; equal values share their mean rank.

    Raises
    ------
    ShapeError, NotFiniteError
        If `values` is no finite vector.
    """
    numbers = check_scores("values", values)
    _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place.reshape(-1)], np.float64)


def spearman(first: ArrayLike, second: ArrayLike) -> float:
    """Return Spearman's rank correlation: Pearson's correlation of the ranks, with ties at their mean rank.

    Returns
    -------
    float
        -1..1; NaN if one side is constant.

    Raises
    ------
    ShapeError, NotFiniteError
        If the two differ in length, hold fewer than two numbers, or one is not finite.
    """
    one, two = _paired(first, second)
    one, two = rank(one), rank(two)
    one, two = one - one.mean(), two - two.mean()
    spread = math.sqrt(float(one @ one) * float(two @ two))
    return float(np.clip(one @ two / spread, -1.0, 1.0)) if spread > 0 else math.nan


def kendall(first: ArrayLike, second: ArrayLike) -> float:
    """Return Kendall's tau-b: concordant minus discordant pairs, corrected for ties.

    Returns
    -------
    float
        -1..1; NaN if one side is constant.

    Raises
    ------
    ShapeError, NotFiniteError
        If the two differ in length, hold fewer than two numbers, or one is not finite.

    Notes
    -----
    Compares all pairs in blocks: quadratic in time, linear in memory.
    """
    one, two = _paired(first, second)
    agree = untied_one = untied_two = 0
    for start in range(0, len(one), _BLOCK):
        sign_one = np.sign(one[start : start + _BLOCK, None] - one[None]).astype(np.int8)
        sign_two = np.sign(two[start : start + _BLOCK, None] - two[None]).astype(np.int8)
        agree += int(np.sum(sign_one * sign_two, dtype=np.int64))
        untied_one += int(np.count_nonzero(sign_one))
        untied_two += int(np.count_nonzero(sign_two))
    spread = math.sqrt(untied_one) * math.sqrt(untied_two)
    return float(np.clip(agree / spread, -1.0, 1.0)) if spread > 0 else math.nan


def ladder_correlation(magnitudes: ArrayLike, severities: ArrayLike) -> LadderCorrelation:
    """Return how the magnitude of each face follows the severity of its damage.

    Parameters
    ----------
    magnitudes : array_like of float, shape (F, L)
        Magnitude of each face at each level, the clean one included.
    severities : array_like of float, shape (L,)
        Strictly rising; only the order counts, so the level numbers 0..6 will do.

    Returns
    -------
    LadderCorrelation

    Raises
    ------
    ShapeError
        If the shapes do not fit, there is no face or fewer than two levels, or `severities` does not rise.
    NotFiniteError
        If a magnitude is NaN or infinite.
    """
    steps = check_scores("severities", severities)
    rows: NDArray[np.float64] = np.asarray(magnitudes, dtype=np.float64)
    if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(steps) or len(steps) < 2:
        raise ShapeError(f"magnitudes must have shape (faces, {len(steps)}), at least one face, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise NotFiniteError("magnitudes must be finite, got NaN or infinity")
    if not (np.diff(steps) > 0).all():
        raise ShapeError(f"severities must rise strictly, got {steps.tolist()}")
    per_face = np.array([spearman(steps, row) for row in rows])
    # A magnitude that does not move says nothing about the damage.
    per_face[np.isnan(per_face)] = 0.0
    falling = (np.diff(rows, axis=1) < 0).all(axis=1)
    return LadderCorrelation(per_face, float(falling.mean()))


def _paired(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    one, two = check_scores("first", first), check_scores("second", second)
    if one.shape != two.shape or len(one) < 2:
        raise ShapeError(f"first and second must have one length of at least 2, got {one.shape} and {two.shape}")
    return one, two
