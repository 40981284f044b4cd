"""Does a calibration hold on other people? Thresholds, gates and tails measured on one half, checked on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.calibration.gates import measure_gate
from qcface_sdk.calibration.measure import clean_comparisons, measure_gates, with_quality
from qcface_sdk.calibration.stretch import measure_stretch
from qcface_sdk.evaluation import (
    PairScores,
    bootstrap_rates,
    fit_quality,
    is_supported,
    operate,
    percentile_interval,
    resample,
    score_all_pairs,
)
from qcface_sdk.evaluation.scores import unit_rows
from qcface_sdk.matching import ask_more
from qcface_sdk.quality import QualityScale
from qcface_train.evaluation.lfw import VerificationSet

FMRS = (1e-3, 1e-4, 1e-5)
FUSED_FMR = 1e-3
FUSED = ((2, 1), (3, 1), (5, 1), (2, 2), (3, 3), (5, 5))
"""Pictures of the probe's template and of the enrolled one."""
_TAIL = 0.05


@dataclass(frozen=True, slots=True)
class Half:
    """The pictures of some people, compared with each other."""

    embeddings: NDArray[np.float32]
    """(N, D)."""
    scores: PairScores
    """All pairs."""

    @property
    def magnitude(self) -> NDArray[np.float64]:
        """(N,)."""
        return np.asarray(np.linalg.norm(self.embeddings.astype(np.float64), axis=1), np.float64)


def make_half(embeddings: NDArray[np.float32], subjects: NDArray[Any], people: NDArray[Any]) -> Half:
    """Return the half of the pictures that show `people`."""
    rows = np.isin(subjects, people)
    return Half(embeddings[rows], score_all_pairs(embeddings[rows], subjects[rows], tail=_TAIL))


def split_by_folds(faces: VerificationSet) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the people in the first and in the second half of the set's folds; nobody is in both."""
    half = len(faces.pairs) // 2
    first, second = (np.unique(faces.subjects[part.ravel()]) for part in (faces.pairs[:half], faces.pairs[half:]))
    return first, np.setdiff1d(second, first)


def check_thresholds(known: Half, other: Half, *, replicates: int) -> list[dict[str, Any]]:
    """Return what the thresholds of one half do on the other, with the interval of the ratio of the two rates.

    The interval takes both halves anew in each resample: a threshold from one, the rate from the other.
    """
    drawn = bootstrap_rates(known.scores, FMRS, replicates=replicates).thresholds
    rows = []
    for column, fmr in enumerate(FMRS):
        at = operate(known.scores, fmr)
        measured = _rate(other.scores, at.threshold)
        ratios = [value / fmr for value in _resampled_rates(other.scores, drawn[:, column], replicates)]
        low, high = percentile_interval(np.array(ratios))
        rows.append(
            {
                "fmr": fmr,
                "supported": is_supported(fmr, known.scores.impostor_count),
                "threshold": at.threshold,
                "measured_fmr": measured,
                "ratio": measured / fmr,
                "interval": [low, high],
                "holds": low <= 1 <= high,
                "fnmr": at.fnmr,
                "measured_fnmr": float(np.mean(other.scores.genuine < at.threshold)),
            }
        )
    return rows


def check_gates(known: Half, other: Half, minima: tuple[float, float], limits: tuple[float, float]) -> dict[str, Any]:
    """Return what the gates of one half promise and what the other shows, with the first half's quality map."""
    threshold = operate(known.scores, 1e-4).threshold
    comparisons = clean_comparisons(known.scores, known.magnitude)
    worse = np.minimum(comparisons.enrolled, comparisons.probe)
    scale = QualityScale(fit_quality(worse, comparisons.similarity, threshold, la=limits[0], ua=limits[1]).knots)
    probe, enroll = measure_gates(with_quality(comparisons, scale), threshold, minima)
    judged = with_quality(clean_comparisons(other.scores, other.magnitude), scale).both_ways()
    found = (
        measure_gate(judged, threshold, minima[0]),
        measure_gate(judged, threshold, minima[1], other_minimum=minima[0]),
    )
    return {
        name: {
            "minimum": fit.minimum,
            "promise": fit.promise,
            "measured": check.fnmr,
            "holds": check.fnmr <= fit.promise,
            "passing": check.share,
        }
        for name, fit, check in zip(("probe", "enroll"), (probe, enroll), found, strict=True)
    }


def check_fused(
    known: Half, other: Half, counts: Sequence[tuple[int, int]] = FUSED, *, replicates: int, seed: int = 0
) -> list[dict[str, Any]]:
    """Return what the factor for fused templates of one half does on the other, at `FUSED_FMR`.

    Every person of the other half with enough pictures gives one template of each count, of pictures drawn at random;
    against one picture, every picture of everybody else is compared. Rates are in units of the one asked for, at the
    first half's threshold without and with its factor; their intervals take the people of the other half anew.
    """
    stretch = measure_stretch(
        known.embeddings, known.scores.subjects, "checked", "checked", "one half", replicates=min(replicates, 200)
    )
    threshold = operate(known.scores, FUSED_FMR).threshold
    rng = np.random.default_rng(seed)
    rows = []
    for probe, enrolled in counts:
        first = _templates(other, max(probe, enrolled), probe, rng)
        second = _templates(other, max(probe, enrolled), enrolled, rng) if enrolled > 1 else _pictures(other)
        factor = stretch.at(probe) * stretch.at(enrolled)
        row: dict[str, Any] = {"counts": [probe, enrolled], "people": len(first[1]), "factor": factor}
        for name, least in (("plain", threshold), ("asked", ask_more(threshold, factor))):
            rate, interval = _impostor_rate(first, second, least, replicates)
            row[name], row[f"{name}_interval"] = rate / FUSED_FMR, [end / FUSED_FMR for end in interval]
        rows.append(row)
    return rows


_Templates = tuple[NDArray[np.float32], NDArray[np.int64]]


def _pictures(half: Half) -> _Templates:
    """Return all pictures at unit length, and whose they are."""
    return unit_rows(half.embeddings), half.scores.subjects


def _templates(half: Half, least: int, count: int, rng: np.random.Generator) -> _Templates:
    """Return a template of `count` pictures of everybody with at least `least`, and whose it is."""
    person = half.scores.subjects
    people = np.flatnonzero(np.bincount(person) >= least)
    drawn = [rng.permutation(np.flatnonzero(person == who))[:count] for who in people]
    sums = np.stack([half.embeddings[rows].astype(np.float64).sum(axis=0) for rows in drawn])
    return unit_rows(sums), people


def _impostor_rate(
    first: _Templates, second: _Templates, threshold: float, replicates: int
) -> tuple[float, tuple[float, float]]:
    """Return the rate at which templates of two people match, and its interval by identity."""
    similar = first[0] @ second[0].T >= threshold
    row, column = np.nonzero(similar & (first[1][:, None] != second[1][None]))
    people = int(max(first[1].max(), second[1].max())) + 1
    counts = [np.bincount(who, minlength=people) for who in (first[1], second[1])]
    total = int(counts[0].sum() * counts[1].sum() - counts[0] @ counts[1])
    rates = []
    for drawn in resample(people, replicates, seed=1):
        a, b = drawn * counts[0], drawn * counts[1]
        pairs = int(a.sum() * b.sum() - a @ b)
        rates.append(float(drawn[first[1][row]] @ drawn[second[1][column]]) / pairs if pairs else np.nan)
    return len(row) / total, percentile_interval(rates)


def check_conditioned(known: Half, other: Half, parts: int = 3) -> dict[str, Any]:
    """Return whether a threshold of its own for each third of quality lowers FNMR on the other half, at FMR 1e-4.

    Both use thresholds of the first half; the second half's rates are reported, so that a gain bought with false
    matches shows.
    """
    edges = np.quantile(known.magnitude, np.linspace(0, 1, parts + 1)[1:-1])
    plain = operate(known.scores, 1e-4).threshold
    thresholds = [_bin_threshold(known, edges, part) for part in range(parts)]
    genuine, tail = (
        _pair_bins(other, edges, pairs) for pairs in (other.scores.genuine_pairs, other.scores.impostor_pairs)
    )
    own = np.array(thresholds)
    return {
        "plain": {
            "fnmr": float(np.mean(other.scores.genuine < plain)),
            "fmr": _rate(other.scores, plain),
        },
        "conditioned": {
            "thresholds": thresholds,
            "fnmr": float(np.mean(other.scores.genuine < own[genuine])),
            "fmr": float(np.sum(other.scores.impostor >= own[tail]) / other.scores.impostor_count),
        },
    }


def _pair_bins(half: Half, edges: NDArray[np.float64], pairs: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(np.digitize(half.magnitude[pairs].min(axis=1), edges), np.int64)


def _bin_threshold(half: Half, edges: NDArray[np.float64], part: int) -> float:
    """Return the threshold of FMR 1e-4 among the impostor pairs whose worse face lies in one part."""
    inside = _pair_bins(half, edges, half.scores.impostor_pairs) == part
    # Pairs whose worse face lies in a part: those with both at or above it, less those with both above it.
    place = np.digitize(half.magnitude, edges)
    count = _impostors(half, place >= part) - _impostors(half, place > part)
    allowed = int(1e-4 * count)
    ordered = half.scores.impostor[inside]
    return float(np.nextafter(ordered[allowed], np.float32(1)))


def _impostors(half: Half, rows: NDArray[np.bool_]) -> int:
    faces = np.bincount(half.scores.subjects[rows])
    return int((faces.sum() ** 2 - (faces**2).sum()) // 2)


def _rate(scores: PairScores, threshold: float) -> float:
    return float(np.count_nonzero(scores.impostor >= threshold) / scores.impostor_count)


def _resampled_rates(scores: PairScores, thresholds: NDArray[np.float64], replicates: int) -> list[float]:
    people = scores.subjects[scores.impostor_pairs]
    faces = np.bincount(scores.subjects)
    rates = []
    for drawn, threshold in zip(resample(len(faces), replicates, seed=1), thresholds, strict=True):
        total = (int(drawn @ faces) ** 2 - int((drawn * drawn) @ (faces * faces))) // 2
        matches = int(np.count_nonzero(scores.impostor >= threshold))
        weight = drawn[people[:matches, 0]] * drawn[people[:matches, 1]]
        rates.append(float(weight.sum() / total) if total else np.nan)
    return rates
