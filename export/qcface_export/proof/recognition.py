"""Figures that need labels: whether thresholds still mean what they say, and rejecting still helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_export.errors import GateError
from qcface_sdk.evaluation import (
    EdcCurve,
    PairScores,
    compare_fnmr,
    false_non_match_rate,
    is_supported,
    operate,
    pair_quality,
    partial_area,
    score_all_pairs,
    trace_edc,
)
from qcface_sdk.evaluation.scores import unit_rows

Figures = dict[str, float]
FMRS = (1e-2, 1e-3, 1e-4, 1e-5)
JUDGED_FMR = 1e-4
"""False match rate of the limits; where the pictures cannot support it, the next larger one."""
AREA_LIMIT = 0.3
"""Rejected share up to which the area under the error curve is taken."""
_TAIL = 0.025
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Recognition:
    """What two files make of the same labelled faces."""

    figures: Figures
    """Name to figure."""
    fmr: float
    """False match rate of the figures."""
    tar_interval: tuple[float, float]
    """95 % interval of ``tar_loss``, paired bootstrap by identity."""
    rates: tuple[dict[str, float], ...]
    """One row for each supported rate, for the report."""
    curves: Mapping[str, EdcCurve]
    """Error against rejection, ``reference`` and ``candidate``."""


def measure_recognition(
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    subjects: NDArray[Any],
    *,
    thresholds: Mapping[float, float] | None = None,
    replicates: int = 1000,
) -> Recognition:
    """Compare all pairs of a labelled set, by each file and across the two.

    Parameters
    ----------
    reference, candidate : ndarray of float32, shape (N, D)
        Embeddings of the same pictures.
    subjects : ndarray, shape (N,)
        Who is on each.
    thresholds : mapping of float to float, optional
        False match rate to the threshold of the reference on these same pictures; None measures it here.
    replicates : int
        Resamples of the bootstrap.

    Raises
    ------
    GateError
        If there are too few pairs to speak of any rate.
    """
    one = score_all_pairs(reference, subjects, tail=_TAIL)
    two = score_all_pairs(candidate, subjects, tail=_TAIL)
    supported = [fmr for fmr in FMRS if is_supported(fmr, one.impostor_count)]
    if not supported:
        raise GateError(
            f"{one.impostor_count} pairs of different people support no false match rate of {FMRS[0]:g} or below; "
            "use more labelled pictures, or none"
        )
    judged = JUDGED_FMR if JUDGED_FMR in supported else min(supported)
    ships = {fmr: (thresholds or {}).get(fmr, operate(one, fmr).threshold) for fmr in supported}
    rates = tuple(_rate(one, two, fmr, ships[fmr]) for fmr in supported)
    cross = _measure_cross(reference, candidate, one, ships[judged])
    loss = compare_fnmr(two, one, judged, replicates=replicates)
    curves = {"reference": _edc(one, reference, judged), "candidate": _edc(two, candidate, judged)}
    before, after = (partial_area(curve, AREA_LIMIT) for curve in curves.values())
    at_judged = next(row for row in rates if row["fmr"] == judged)
    figures = {
        "threshold_shift": at_judged["threshold_shift"],
        "fmr_factor": max(row["fmr_factor"] for row in rates if row["fmr"] >= judged),
        "fnmr_change": max(row["fnmr_change"] for row in rates if row["fmr"] >= judged),
        "tar_loss": loss.value,
        "cross_fnmr_change": max(cross["fnmr"]) - at_judged["reference_fnmr"],
        "cross_fmr_factor": max(cross["fmr"]) / judged,
        "edc_area_loss": after / before - 1 if before > 0 else 0.0,
    }
    return Recognition(figures, judged, loss.interval, rates, curves)


def _rate(one: PairScores, two: PairScores, fmr: float, threshold: float) -> dict[str, float]:
    own, reference_fnmr = operate(two, fmr), false_non_match_rate(one.genuine, threshold)
    fnmr = false_non_match_rate(two.genuine, threshold)
    return {
        "fmr": fmr,
        "threshold": threshold,
        "own_threshold": own.threshold,
        "threshold_shift": own.threshold - threshold,
        "fmr_at_threshold": float(np.count_nonzero(two.impostor >= threshold) / two.impostor_count),
        "fmr_factor": float(np.count_nonzero(two.impostor >= threshold) / two.impostor_count / fmr),
        "reference_fnmr": reference_fnmr,
        "fnmr_at_threshold": fnmr,
        "fnmr_change": fnmr - reference_fnmr,
        "own_fnmr": own.fnmr,
    }


def _measure_cross(
    reference: NDArray[np.float32], candidate: NDArray[np.float32], scores: PairScores, threshold: float
) -> dict[str, list[float]]:
    """Return rates of a reference gallery against candidate probes, and of the reverse."""
    one, two = unit_rows(reference), unit_rows(candidate)
    first, second = scores.genuine_pairs.T
    fnmr = [
        float(np.mean(np.einsum("ij,ij->i", gallery[first], probes[second]) < threshold))
        for gallery, probes in ((one, two), (two, one))
    ]
    matches = [0, 0]
    for start in range(0, len(one), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(one)))
        row, column = np.nonzero(one[rows] @ two.T >= threshold)
        row = rows[row]
        others = scores.subjects[row] != scores.subjects[column]
        # Each pair is compared once in each direction: above the diagonal the reference is the gallery.
        matches[0] += int(np.count_nonzero(others & (row < column)))
        matches[1] += int(np.count_nonzero(others & (row > column)))
    return {"fnmr": fnmr, "fmr": [count / scores.impostor_count for count in matches]}


def _edc(scores: PairScores, embeddings: NDArray[np.float32], fmr: float) -> EdcCurve:
    quality = pair_quality(np.linalg.norm(embeddings.astype(np.float64), axis=1), scores.genuine_pairs)
    return trace_edc(scores.genuine, quality, operate(scores, fmr).threshold)
