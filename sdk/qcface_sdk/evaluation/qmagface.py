"""The QMagFace score: cosine and magnitudes in one number (Terhörst et al., WACV 2023).

A low similarity of two good faces is a sure no and is lowered further; of a poor face it says less and is lowered less.
Two numbers, alpha and beta, say how much. They hold for one network and one range of magnitudes, so they are fitted
anew for each, on people that are not measured afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.errors import ShapeError
from qcface_sdk.evaluation.verification import check_scores, count_allowed, next_above

FIT_FMRS = tuple(float(fmr) for fmr in np.geomspace(1e-5, 1e-2, 50))
"""False match rates whose best weights the line is fitted to, as published."""

_WEIGHTS = 20
_WIDEST = 0.5


@dataclass(frozen=True, slots=True)
class QMagFace:
    """Score ``s + min(0, beta s - alpha) q`` of a cosine s and the lower magnitude q of the two faces."""

    alpha: float
    """What a similarity of 0 loses for each unit of quality."""
    beta: float
    """How that loss shrinks as the similarity rises; from alpha / beta on the score is the cosine."""

    def __call__(self, similarity: ArrayLike, quality: ArrayLike) -> NDArray[np.float64]:
        """Return the scores; both arguments of one shape."""
        cosine: NDArray[np.float64] = np.asarray(similarity, np.float64)
        loss = np.minimum(0.0, self.beta * cosine - self.alpha)
        return np.asarray(cosine + loss * np.asarray(quality, np.float64), np.float64)


def fit_qmagface(
    genuine: ArrayLike,
    genuine_quality: ArrayLike,
    impostor: ArrayLike,
    impostor_quality: ArrayLike,
    fmrs: Sequence[float] = FIT_FMRS,
) -> QMagFace:
    """Fit alpha and beta.

    Parameters
    ----------
    genuine, impostor : array_like of float, shape (G,) and (K,)
        Cosines of pairs, drawn freely and not by their scores.
    genuine_quality, impostor_quality : array_like of float
        Lower magnitude of each pair (`pair_quality`).
    fmrs : sequence of float
        False match rates; those at which less than one impostor pair may match are left out.

    Raises
    ------
    ShapeError, NotFiniteError
        If scores and qualities differ in length, or there are too few impostor pairs for any rate.

    Notes
    -----
    For each rate the weight w with the fewest errors of ``s + w q`` is searched on a grid, and the line
    ``w = beta t - alpha`` fitted to the thresholds t. The published code takes t after a sigmoid but applies the line
    to cosines; here both are cosines.
    """
    s, sq = _paired("genuine", genuine, genuine_quality)
    o, oq = _paired("impostor", impostor, impostor_quality)
    usable = [fmr for fmr in fmrs if fmr * len(o) >= 1]
    if not usable:
        raise ShapeError(f"{len(o)} impostor pairs are too few for a false match rate of {max(fmrs):g}; give more")
    weights = np.linspace(-_WIDEST, _WIDEST, _WEIGHTS) / max(float(sq.max()), float(oq.max()))
    # The least disturbance first: of equally good weights it is taken.
    weights = weights[np.argsort(np.abs(weights), kind="stable")]
    scored = [(np.sort(s + w * sq), np.sort(o + w * oq)) for w in weights]
    points = []
    for fmr in usable:
        # As threshold_at_fmr, of scores that are sorted once and not once for each rate.
        refused = len(o) - 1 - count_allowed(fmr, len(o))
        thresholds = [next_above(float(others[refused]), single=False) for _, others in scored]
        missed = [np.searchsorted(mates, t) for (mates, _), t in zip(scored, thresholds, strict=True)]
        best = int(np.argmin(missed))
        points.append((thresholds[best], weights[best]))
    t, w = np.array(points).T
    if np.ptp(t) == 0:
        return QMagFace(-float(w.mean()), 0.0)
    beta, minus_alpha = np.polyfit(t, w, 1)
    return QMagFace(-float(minus_alpha), float(beta))


def _paired(name: str, scores: ArrayLike, quality: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, qualities = check_scores(name, scores), check_scores(f"{name}_quality", quality)
    if values.shape != qualities.shape or not len(values):
        raise ShapeError(f"{name} and its qualities must have one length, got {values.shape} and {qualities.shape}")
    return values, qualities
