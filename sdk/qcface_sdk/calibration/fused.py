"""From the evidence of fused pictures to their quality."""

from __future__ import annotations

from numpy.typing import ArrayLike

from qcface_sdk.evaluation import fit_quality

# An anchor far below any knot; there is none above, since no amount of evidence was seen to be certain.
_LEAST, _NO_ANCHOR = 1e-3, 2e-3


def fit_fused(evidence: ArrayLike, similarity: ArrayLike, threshold: float) -> tuple[tuple[float, float], ...]:
    """Return the knots (evidence, quality 0..100) of `QualityMap.fused`.

    Parameters
    ----------
    evidence : array_like of float, shape (T,)
        `qcface_sdk.fusion.evidence` of tracks of two frames or more.
    similarity : array_like of float, shape (T,)
        Of the fused template with an enrolled picture of the same person.
    threshold : float
        Of false match rate 1e-4.

    Raises
    ------
    InputError
        If there are too few tracks, or evidence does not order them.
    """
    return fit_quality(evidence, similarity, threshold, la=_LEAST, ua=_NO_ANCHOR).knots
