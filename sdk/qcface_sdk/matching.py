"""Compare two faces and say what a door should do about it.

The rules fail closed: what cannot be compared is never accepted, and a face below the quality gate is asked for
again even where it seems to match, because the threshold's false-match rate was not measured on such faces.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import ContractMismatchError, InputError, ThresholdUnavailableError
from qcface_sdk.results import Face, Match, Outcome, Reason
from qcface_sdk.template import Template

GREY_FACTOR = 10.0
"""A similarity that would be accepted at this many times the rate asked for calls for another picture."""


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float | None:
    """Return the cosine of two vectors in -1..1, or ``None`` where it does not exist.

    Computed in double precision, so that the order of the arguments cannot move a decision.

    Parameters
    ----------
    a, b : ndarray of float32, shape (D,)

    Returns
    -------
    float or None
        ``None`` if a vector is NaN, infinite or of zero length.

    Examples
    --------
    >>> round(cosine(np.array([3.0, 0.0], np.float32), np.array([1.0, 1.0], np.float32)), 6)
    0.707107
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    lengths = float(np.sqrt(x @ x)) * float(np.sqrt(y @ y))
    if not np.isfinite(lengths) or lengths == 0.0:
        return None
    return float(np.clip(x @ y / lengths, -1.0, 1.0))


def grey_zone_from(threshold_at: Callable[[float], float], rate: float) -> float | None:
    """Return where the grey zone below the threshold of a rate begins.

    Parameters
    ----------
    threshold_at : callable
        Gives the threshold at a rate, such as `FaceEngine.threshold`.
    rate : float
        Rate that was asked for, of false matches or of false-positive identifications.

    Returns
    -------
    float or None
        Threshold at `GREY_FACTOR` times the rate; ``None``, for no zone, where that rate is none or was not measured.
    """
    try:
        return threshold_at(GREY_FACTOR * rate)
    except (ThresholdUnavailableError, InputError):
        return None


def check_same_contract(a: str | None, b: str | None) -> None:
    """Raise `ContractMismatchError` unless both embedding contracts are the same."""
    if a != b:
        raise ContractMismatchError(
            f"embeddings of different models cannot be compared: {a} against {b}; embed both pictures with one bundle, "
            "or enrol again after a change of model"
        )


def pictures_of(side: Face | Template | None) -> int:
    """Return how many pictures a face or a template comes from."""
    return side.count if isinstance(side, Template) else 1


def ask_more(threshold: float, stretch: float) -> float:
    """Return the threshold for fused templates, at most 1.

    Parameters
    ----------
    threshold : float
        Measured on single pictures, -1..1. One of 0 or below stays: the factor says nothing of it.
    stretch : float
        Product of the factors of both templates, `FaceEngine.stretch`.
    """
    return min(threshold * stretch, 1.0) if threshold > 0 else threshold


def compare_faces(
    a: Face | Template | None,
    b: Face | Template | None,
    *,
    threshold: float,
    fmr: float,
    retry_below: float,
    contract: str,
    grey_from: float | None = None,
) -> Match:
    """Compare two faces, or templates (1:1).

    Parameters
    ----------
    a, b : Face, Template or None
        Faces with embeddings, or templates; ``None`` where none was found.
    threshold : float
        Smallest similarity that is accepted.
    fmr : float
        False-match rate of the threshold, reported in the result.
    retry_below : float
        Quality gate, 0..100.
    contract : str
        Embedding contract both must carry.
    grey_from : float or None
        Similarity from which one below the threshold asks for another picture; ``None`` for no such zone.

    Returns
    -------
    Match
        Retry if a face is missing, not finite or below the gate, or the similarity in the grey zone; else accept or
        reject. A failed face compares like any other and never matches.

    Raises
    ------
    ContractMismatchError
        If a face was embedded under another contract.
    InputError
        If a face has no embedding because it comes from `FaceEngine.detect`.
    """
    vectors = (_vector(a, contract), _vector(b, contract))
    reason = _unfit(a, retry_below, Reason.LOW_QUALITY_A) | _unfit(b, retry_below, Reason.LOW_QUALITY_B)
    similarity = None
    if vectors[0] is not None and vectors[1] is not None:
        similarity = cosine(vectors[0], vectors[1])
        reason |= Reason.NOT_FINITE if similarity is None else _distance(similarity, threshold, grey_from)
    return Match(
        similarity=-1.0 if similarity is None else similarity,
        threshold=threshold,
        fmr=fmr,
        decision=_decide(reason),
        reason=reason,
        quality_a=None if a is None else a.quality,
        quality_b=None if b is None else b.quality,
        contract=contract,
    )


def _vector(side: Face | Template | None, contract: str) -> NDArray[np.float32] | None:
    """Return what is compared, ``None`` where there is nothing."""
    if side is None:
        return None
    vector = side.vector if isinstance(side, Template) else side.embedding
    if vector is None:
        raise InputError("faces must carry embeddings to be compared, got one from detect(); use engine.get(image)")
    check_same_contract(contract, side.contract)
    return vector


def _unfit(side: Face | Template | None, retry_below: float, low_quality: Reason) -> Reason:
    if side is None:
        return Reason.NO_FACE
    return Reason.NONE if side.quality is not None and side.quality >= retry_below else low_quality


def _distance(similarity: float, threshold: float, grey_from: float | None) -> Reason:
    if similarity >= threshold:
        return Reason.NONE
    near = grey_from is not None and similarity >= grey_from
    return Reason.BELOW_THRESHOLD | (Reason.GREY_ZONE if near else Reason.NONE)


def _decide(reason: Reason) -> Outcome:
    if reason is Reason.NONE:
        return Outcome.ACCEPT
    return Outcome.REJECT if reason is Reason.BELOW_THRESHOLD else Outcome.RETRY
