"""The measuring protocol: from embeddings of a labelled set to every figure of the report, as plain JSON values.

Nothing here names or shows a person; the figures are counts, rates and percentiles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.calibration.gates import Comparisons
from qcface_sdk.calibration.measure import clean_comparisons, join
from qcface_sdk.evaluation import (
    KINDS,
    LADDER_SEED,
    LEVELS,
    EdcCurve,
    PairScores,
    QualityMapping,
    bootstrap_factor,
    bootstrap_mean,
    calibrate_scores,
    climb,
    evaluate_folds,
    fit_quality,
    ladder_correlation,
    operate,
    pair_quality,
    partial_areas,
    score_pairs,
    threshold_at_fnmr,
    trace_edc,
)
from qcface_train.evaluation.intervals import bootstrap_areas, bootstrap_span, interval_of
from qcface_train.evaluation.lfw import VerificationSet

QUALITY_FMR = 1e-4
"""False match rate at which quality and rejection are judged."""

REJECTED_SHARE = 0.1
"""Share of the genuine comparisons rejected for the headline factor."""

_PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_PLOT_POINTS = 200
_START_FMRS = {f"FMR {QUALITY_FMR:g}": QUALITY_FMR, "FMR 0.001": 1e-3}
_START_FNMRS = {"FNMR 1 %": 0.01, "FNMR 5 %": 0.05}

Embed = Callable[[NDArray[np.uint8], str], NDArray[np.float32]]
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LadderScores:
    """Magnitudes and similarities of some faces on every rung of every kind of damage."""

    magnitudes: dict[str, NDArray[np.float64]]
    """By kind: (F, LEVELS + 1), the clean rung first."""
    similarities: dict[str, NDArray[np.float64]]
    """By kind: (F, LEVELS + 1), with a clean other picture of the same person."""
    mate_magnitudes: NDArray[np.float64]
    """(F,), magnitude of that other picture."""
    person: NDArray[np.int64]
    """(F,), number of the person."""


def measure_folds(embeddings: NDArray[np.float32], faces: VerificationSet) -> Figures:
    """Return the accuracy over the set's own folds."""
    result = evaluate_folds(score_pairs(embeddings, faces.pairs), faces.same, folds=faces.folds)
    return {
        "accuracy": result.mean,
        "std": result.std,
        "accuracies": list(result.accuracies),
        "thresholds": list(result.thresholds),
    }


def measure_rates(scores: PairScores, *, replicates: int) -> list[Figures]:
    """Return threshold, false non-match rate and their intervals at each false match rate, over all pairs."""
    rows = calibrate_scores(scores, replicates=replicates)
    return [{**row.to_dict(), "fnmr_interval": list(row.fnmr_interval), "tar": 1 - row.fnmr} for row in rows]


def plot_rates(scores: PairScores) -> Figures:
    """Return the curve of false non-match over false match rate and the score distributions, for plots."""
    floor = 1.0 / scores.impostor_count
    fmrs = np.geomspace(floor, min(0.02, 0.9 * scores.largest_fmr), 60)
    genuine, edges = np.histogram(scores.genuine, bins=100, range=(-1, 1))
    impostor = scores.histogram.reshape(100, -1).sum(axis=1)
    return {
        "fmr": fmrs.tolist(),
        "fnmr": [operate(scores, float(fmr)).fnmr for fmr in fmrs],
        "similarity": ((edges[1:] + edges[:-1]) / 2).tolist(),
        "genuine": (genuine / genuine.sum()).tolist(),
        "impostor": (impostor / impostor.sum()).tolist(),
    }


def climb_ladder(embed: Embed, faces: VerificationSet, embeddings: NDArray[np.float32], count: int) -> LadderScores:
    """Damage one picture each of `count` people, spread evenly over those with two pictures, in every way.

    Face number i of this choice is damaged with seed ``LADDER_SEED + i``.
    """
    probes, mates = choose_ladder_faces(faces.subjects, count)
    clean = embeddings[probes]
    mate = embeddings[mates] / np.linalg.norm(embeddings[mates], axis=1, keepdims=True)
    magnitudes, similarities = {}, {}
    for kind in KINDS:
        rungs = [climb(faces.crops[row], kind, seed=LADDER_SEED + i)[1:] for i, row in enumerate(probes)]
        damaged = embed(np.concatenate(rungs), f"ladder, {kind}").reshape(len(probes), LEVELS, -1)
        ladder = np.concatenate([clean[:, None], damaged], axis=1).astype(np.float64)  # (F, LEVELS + 1, D)
        magnitudes[kind] = np.linalg.norm(ladder, axis=2)
        similarities[kind] = np.einsum("fld,fd->fl", ladder, mate) / magnitudes[kind]
    lengths = np.linalg.norm(embeddings[mates].astype(np.float64), axis=1)
    person = np.unique(faces.subjects, return_inverse=True)[1].reshape(-1)[probes].astype(np.int64)
    return LadderScores(magnitudes, similarities, lengths, person)


def choose_ladder_faces(subjects: NDArray[Any], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the second picture of `count` people, spread evenly over those who have two."""
    _, first, which, pictures = np.unique(subjects, return_index=True, return_inverse=True, return_counts=True)
    several = np.flatnonzero(pictures > 1)
    chosen = several[np.linspace(0, len(several) - 1, min(count, len(several))).astype(np.int64)]
    second = [int(np.flatnonzero(which.reshape(-1) == person)[1]) for person in chosen]
    return first[chosen].astype(np.int64), np.array(second, dtype=np.int64)


def measure_ladder(ladder: LadderScores, threshold: float) -> Figures:
    """Return how magnitude follows each kind of damage, and how recognition fails beside it."""
    figures: Figures = {}
    for kind, magnitudes in ladder.magnitudes.items():
        result = ladder_correlation(magnitudes, range(LEVELS + 1))
        quartiles = np.percentile(magnitudes, [25, 50, 75], axis=0)
        figures[kind] = {
            "spearman": result.mean,
            "interval": list(bootstrap_mean(result.per_face, np.arange(len(result.per_face)))),
            "monotone_share": result.monotone_share,
            "monotone_interval": list(bootstrap_mean((np.diff(magnitudes) < 0).all(axis=1), ladder.person)),
            "magnitude_quartiles": quartiles.tolist(),
            "fnmr": (ladder.similarities[kind] < threshold).mean(axis=0).tolist(),
        }
    return figures


def measure_ladder_mean(ladder: LadderScores) -> Figures:
    """Return the mean over the kinds of damage of how magnitude follows it, face by face."""
    kinds = [ladder_correlation(rungs, range(LEVELS + 1)).per_face for rungs in ladder.magnitudes.values()]
    per_face = np.mean(kinds, axis=0)
    return {"spearman": float(per_face.mean()), "interval": list(bootstrap_mean(per_face, ladder.person))}


def measure_magnitude(
    magnitude: NDArray[np.float64],
    person: NDArray[np.int64],
    ladder: LadderScores,
    la: float,
    ua: float,
    *,
    replicates: int,
) -> Figures:
    """Return how far magnitudes spread over the range the training aimed at, clean and with the ladder.

    `person` (N,) numbers the people as `ladder` does.
    """
    rungs = [rungs[:, 1:] for rungs in ladder.magnitudes.values()]
    damaged = np.concatenate([rows.ravel() for rows in rungs])
    whose = np.concatenate([np.repeat(ladder.person, rows.shape[1]) for rows in rungs])

    def span(low: float, high: float) -> float:
        return float((np.clip(high, la, ua) - np.clip(low, la, ua)) / (ua - la))

    figures: Figures = {"la": la, "ua": ua}
    everything = np.concatenate([magnitude, damaged]), np.concatenate([person, whose])
    for name, (values, people) in (("clean", (magnitude, person)), ("with_ladder", everything)):
        low, high = np.percentile(values, [5, 95])
        figures[name] = {
            "faces": len(values),
            "percentiles": {str(p): float(np.percentile(values, p)) for p in _PERCENTILES},
            "below_la": float(np.mean(values < la)),
            "above_ua": float(np.mean(values > ua)),
            "span_share": span(low, high),
            "span_interval": bootstrap_span(values, people, span, people=int(person.max()) + 1, replicates=replicates),
        }
    return figures


def edc_starts(scores: PairScores) -> dict[str, float]:
    """Return the thresholds, by what sets them, at which error against discard is traced."""
    return {name: operate(scores, fmr).threshold for name, fmr in _START_FMRS.items()} | {
        name: threshold_at_fnmr(scores.genuine, fnmr) for name, fnmr in _START_FNMRS.items()
    }


def measure_areas(scores: PairScores, quality: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Return the partial areas minus the ideal ones, by start and limit, of one quality measure of the faces."""
    worse = pair_quality(quality, scores.genuine_pairs)
    return {
        start: partial_areas(trace_edc(scores.genuine, worse, threshold))
        for start, threshold in edc_starts(scores).items()
    }


def measure_rejection(scores: PairScores, qualities: Mapping[str, NDArray[np.float64]], *, replicates: int) -> Figures:
    """Return what rejecting by each quality measure does to the false non-match rate; the first is the one judged."""
    judged, *peers = qualities
    at = operate(scores, QUALITY_FMR)
    drawn = bootstrap_factor(scores, qualities, QUALITY_FMR, share=REJECTED_SHARE, replicates=replicates)
    areas = bootstrap_areas(scores, qualities, _START_FMRS, _START_FNMRS, replicates=replicates)
    measures: Figures = {}
    for name, values in qualities.items():
        quality = pair_quality(values, scores.genuine_pairs)
        main = trace_edc(scores.genuine, quality, at.threshold)
        measures[name] = {
            "factor": main.factor_at(REJECTED_SHARE) if at.fnmr else None,
            "interval": interval_of(drawn[name]),
            "excess_areas": measure_areas(scores, values),
            "area_intervals": areas[name],
            "curve": _thin(main),
        }
    return {
        "fmr": QUALITY_FMR,
        "share": REJECTED_SHARE,
        "fnmr": at.fnmr,
        "judged": judged,
        "measures": measures,
        "differences": {
            name: {
                "value": measures[judged]["factor"] - measures[name]["factor"] if at.fnmr else None,
                "interval": interval_of(drawn[judged] - drawn[name]),
            }
            for name in peers
        },
    }


def _thin(curve: EdcCurve) -> dict[str, list[float]]:
    shares = np.linspace(0, 0.95, _PLOT_POINTS)
    return {"rejected": shares.tolist(), "fnmr": [curve.fnmr_at(float(share)) for share in shares]}


def damaged_comparisons(ladder: LadderScores) -> Comparisons:
    """Return the ladder's damaged rungs as comparisons with the clean picture enrolled, with magnitudes."""
    rungs = [(ladder.similarities[kind][:, 1:], ladder.magnitudes[kind][:, 1:]) for kind in ladder.magnitudes]
    similarity = np.concatenate([part[0].ravel() for part in rungs])
    probe = np.concatenate([part[1].ravel() for part in rungs])
    enrolled, person = (
        np.tile(np.repeat(column, LEVELS), len(rungs)) for column in (ladder.mate_magnitudes, ladder.person)
    )
    return Comparisons.of(similarity, enrolled, probe, person)


def genuine_comparisons(scores: PairScores, magnitude: NDArray[np.float64], ladder: LadderScores) -> Comparisons:
    """Return all clean genuine pairs and the damaged faces against a clean picture, with magnitudes."""
    return join(clean_comparisons(scores, magnitude), damaged_comparisons(ladder))


def fit_mapping(comparisons: Comparisons, threshold: float, *, la: float, ua: float) -> QualityMapping:
    """Fit the quality of 0 to 100 to genuine comparisons."""
    worse = np.minimum(comparisons.enrolled, comparisons.probe)
    return fit_quality(worse, comparisons.similarity, threshold, la=la, ua=ua)
