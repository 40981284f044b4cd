"""Protocols beyond single pairs: search in a gallery, templates of several pictures, and the QMagFace score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.evaluation import (
    QMagFace,
    best_scores,
    bootstrap_mean,
    false_non_match_rate,
    fit_qmagface,
    miss_rate,
    pair_quality,
    pool_templates,
    score_pairs,
    search_probes,
    threshold_at_fmr,
)
from qcface_sdk.evaluation.bootstrap import BootstrapRates
from qcface_sdk.evaluation.scores import number_labels, unit_rows
from qcface_train.evaluation.intervals import Interval, bootstrap_misses, draw_rates, interval_of

Figures = dict[str, Any]
Floats = NDArray[np.float32]
Score = Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]

RANKS = (1, 5, 10)
FPIRS = (0.1, 0.01)
FMRS = (1e-3, 1e-4)
_TEMPLATE_PICTURES = 4
_FIT_IMPOSTORS = 300_000


def measure_identification(embeddings: Floats, subjects: NDArray[Any], *, replicates: int) -> Figures:
    """Search all but the first picture of everyone who has two.

    Closed set: everyone is in the gallery with the first picture, so that people of one picture distract. Open set:
    those are strangers instead, and the gallery holds the others. For the intervals probes and strangers are
    resampled by person; the gallery stays.
    """
    person = number_labels(subjects, len(embeddings))
    counts = np.bincount(person)
    first = np.zeros(len(person), np.bool_)
    first[np.unique(person, return_index=True)[1]] = True
    single = counts[person] == 1
    probes = ~first
    closed = search_probes(embeddings[probes], person[probes], embeddings[first], person[first])
    figures: Figures = {
        "probes": int(probes.sum()),
        "people": closed.people,
        "distractors": int(single.sum()),
        "rank": {str(k): closed.rate(k) for k in RANKS},
        "rank_interval": {
            str(k): list(bootstrap_mean(closed.ranks <= k, person[probes], replicates=replicates)) for k in RANKS
        },
        "open": None,
    }
    known = first & ~single
    if single.any() and known.any():
        search = search_probes(embeddings[probes], person[probes], embeddings[known], person[known])
        strangers = best_scores(embeddings[single], embeddings[known], person[known])
        rates = {str(fpir): miss_rate(search, strangers, fpir) for fpir in FPIRS if fpir * len(strangers) >= 1}
        # A search that finds somebody else first misses at any threshold.
        mated = np.where(search.ranks == 1, search.mate_scores, np.float32(-np.inf))
        intervals = bootstrap_misses(
            mated,
            person[probes],
            strangers,
            person[single],
            [float(fpir) for fpir in rates],
            people=len(counts),
            replicates=replicates,
        )
        figures["open"] = {
            "people": search.people,
            "strangers": len(strangers),
            "fnir": {fpir: fnir for fpir, (fnir, _) in rates.items()},
            "fnir_interval": dict(zip(rates, intervals, strict=True)),
            "threshold": {fpir: threshold for fpir, (_, threshold) in rates.items()},
        }
    return figures


def measure_templates(embeddings: Floats, subjects: NDArray[Any], *, replicates: int) -> Figures:
    """Compare two templates of everyone with enough pictures; each picture is a medium of its own.

    The pictures of a person go to the two templates in turn. Beside both ways of pooling stand the single pictures that
    come first in each template.
    """
    person = number_labels(subjects, len(embeddings))
    counts = np.bincount(person)
    rows = np.flatnonzero(counts[person] >= _TEMPLATE_PICTURES)
    if not len(rows):
        return {"people": 0}
    place = np.zeros(len(person), np.int64)
    order = np.argsort(person, kind="stable")
    place[order] = np.arange(len(person)) - np.repeat(np.cumsum(counts) - counts, counts)
    names = 2 * person[rows] + place[rows] % 2
    people = len(np.unique(person[rows]))
    figures: Figures = {"people": people, "pictures": len(rows), "impostors": people * (people - 1)}
    figures |= {"tar": {}, "tar_interval": {}}
    owner = np.unique(person[rows])
    first, second = np.repeat(owner, people), np.tile(owner, people)
    starts = np.unique(names, return_index=True)[1]
    pooled = {weights: pool_templates(embeddings[rows], names, rows, weights=weights) for weights in _POOLINGS}
    sides = {name: templates.embeddings for name, templates in pooled.items()} | {
        "one picture": embeddings[rows[starts]]
    }
    for name, both in sides.items():
        similarity = unit_rows(both[0::2]) @ unit_rows(both[1::2]).T  # (people, people)
        own = np.eye(people, dtype=np.bool_)
        figures["tar"][name] = _rates(similarity[own], similarity[~own])
        drawn = draw_rates(
            similarity.ravel(),
            first,
            second,
            lambda counts: int(counts[owner].sum()) ** 2 - int((counts[owner] ** 2).sum()),
            FMRS,
            people=len(counts),
            replicates=replicates,
        )
        figures["tar_interval"][name] = _intervals(figures["tar"][name], [drawn])
    return figures


_POOLINGS = ("magnitude", "equal")


def measure_qmagface(embeddings: Floats, subjects: NDArray[Any], *, replicates: int, seed: int = 0) -> Figures:
    """Fit alpha and beta on one half of the people and compare the score with the cosine on the other, both ways.

    The intervals hold for the score as it was fitted: the fit is not repeated in each resample.
    """
    person = number_labels(subjects, len(embeddings))
    half = np.random.default_rng([seed, 17]).permutation(int(person.max()) + 1) % 2
    magnitude = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    folds: list[Figures] = []
    drawn: dict[str, list[BootstrapRates]] = {"cosine": [], "qmagface": []}
    for tested in (0, 1):
        fit = _fit_half(embeddings, person, magnitude, np.flatnonzero(half[person] != tested), seed)
        rows = np.flatnonzero(half[person] == tested)
        fold: Figures = {"alpha": fit.alpha, "beta": fit.beta}
        scorers: dict[str, Score] = {"cosine": _plain, "qmagface": fit}
        for name, score in scorers.items():
            fold[name], samples = _half_rates(embeddings, person, magnitude, rows, score, replicates)
            drawn[name].append(samples)
        folds.append(fold)
    mean = {name: {rate: _mean([fold[name][rate] for fold in folds]) for rate in folds[0][name]} for name in drawn}
    intervals = {name: _intervals(mean[name], samples) for name, samples in drawn.items()}
    return {"folds": folds, "tar": mean, "tar_interval": intervals}


def _plain(similarity: NDArray[Any], quality: NDArray[Any]) -> NDArray[Any]:
    return similarity


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _fit_half(
    embeddings: Floats, person: NDArray[np.int64], magnitude: NDArray[np.float64], rows: NDArray[np.int64], seed: int
) -> QMagFace:
    first, second = np.triu_indices(len(rows), 1)
    same = person[rows[first]] == person[rows[second]]
    genuine = np.stack([rows[first[same]], rows[second[same]]], axis=1)
    rng = np.random.default_rng([seed, 18])
    drawn = rng.choice(rows, (_FIT_IMPOSTORS, 2))
    impostor = drawn[person[drawn[:, 0]] != person[drawn[:, 1]]]
    return fit_qmagface(
        score_pairs(embeddings, genuine),
        pair_quality(magnitude, genuine),
        score_pairs(embeddings, impostor),
        pair_quality(magnitude, impostor),
    )


def _half_rates(
    embeddings: Floats,
    person: NDArray[np.int64],
    magnitude: NDArray[np.float64],
    rows: NDArray[np.int64],
    score: Score,
    replicates: int,
) -> tuple[dict[str, float | None], BootstrapRates]:
    upper = np.triu_indices(len(rows), 1)
    unit = unit_rows(embeddings[rows])
    similarity = (unit @ unit.T)[upper]
    quality = np.minimum.outer(magnitude[rows], magnitude[rows])[upper].astype(np.float32)
    first, second = person[rows[upper[0]]], person[rows[upper[1]]]
    same = first == second
    values = score(similarity, quality)
    faces = np.bincount(person[rows], minlength=int(person.max()) + 1)
    drawn = draw_rates(
        values.astype(np.float32),
        first,
        second,
        lambda counts: (int(counts @ faces) ** 2 - int((counts * counts) @ (faces * faces))) // 2,
        FMRS,
        people=len(faces),
        replicates=replicates,
    )
    return _rates(values[same], values[~same]), drawn


def _rates(genuine: NDArray[Any], impostor: NDArray[Any]) -> dict[str, float | None]:
    """Return the share of genuine scores that match at each rate; None where no impostor pair at all may match."""
    return {
        f"{fmr:g}": 1 - false_non_match_rate(genuine, threshold_at_fmr(impostor, fmr))
        if fmr * len(impostor) >= 1
        else None
        for fmr in FMRS
    }


def _intervals(rates: dict[str, float | None], drawn: list[BootstrapRates]) -> dict[str, Interval]:
    """Return the intervals of the shares that match, means over some halves of one draw of people."""
    matched = 1 - np.mean([each.fnmr for each in drawn], axis=0)
    return {fmr: None if rates[fmr] is None else interval_of(matched[:, column]) for column, fmr in enumerate(rates)}
