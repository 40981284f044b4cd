"""Measure a calibration on labelled embeddings."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.calibration.calibration import Calibration
from qcface_sdk.calibration.gates import Comparisons, GateFit, measure_gate
from qcface_sdk.calibration.stretch import measure_stretch
from qcface_sdk.errors import InputError, OptionError
from qcface_sdk.evaluation import PairScores, calibrate_scores, fit_quality, operate, score_all_pairs
from qcface_sdk.evaluation import thresholds as measured_thresholds
from qcface_sdk.evaluation.tail import fit_tail
from qcface_sdk.evaluation.verification import MIN_IMPOSTOR_ERRORS
from qcface_sdk.measurements import FusedStretch, ImpostorTail, QualityGate, QualityMap, ThresholdRow
from qcface_sdk.quality import QualityScale

FMRS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""False match rates of the table."""

QUALITY_FMR = 1e-4
"""False match rate that quality and gates speak of, where the counts support it; else the strictest that they do."""

STRETCH_REPLICATES = 200
"""Resamples at most for the factor of fused templates; its interval is narrow, and a resample takes long."""

RETRY_BELOW, ENROLL_BELOW = 10.0, 50.0
"""Qualities of the gates unless told otherwise: nine of ten comparisons, or every other one, are expected to fail."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A calibration and what a report says beside it."""

    calibration: Calibration
    """What `FaceEngine(calibration=...)` takes."""
    rows: tuple[measured_thresholds.ThresholdRow, ...]
    """The rows with the intervals of their false non-match rates."""
    gates: tuple[GateFit, GateFit] | None
    """Probe and enrolment gate as measured; None where they were carried over."""
    faces: int
    """Faces compared."""
    people: int
    """People compared."""
    notes: tuple[str, ...]
    """What could not be measured, and why; sentences."""
    scores: PairScores
    """The comparisons, for plots."""


def calibrate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    base: Calibration,
    data: str,
    *,
    damaged: Comparisons | None = None,
    retry_below: float = RETRY_BELOW,
    enroll_below: float = ENROLL_BELOW,
    limits: tuple[float, float] = (1.0, 100.0),
    replicates: int = 1000,
    seed: int = 0,
) -> Measured:
    """Measure thresholds, tail, quality map, gates and the factor for fused templates on a labelled set.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Raw, of people the model was not trained on.
    labels : array_like of int or str, shape (N,)
        Who is on each face.
    base : Calibration
        Of the model, artefact and runtime that made the embeddings (`FaceEngine.calibration`). The result is bound to
        the same; its quality map is kept where these data cannot give one.
    data : str
        What was measured, in words.
    damaged : Comparisons, optional
        More genuine comparisons, with magnitudes, of damaged probes with clean faces: for quality and gates.
    retry_below, enroll_below : float
        Qualities of the two gates, 0..100; what they promise is measured.
    limits : (float, float)
        Magnitudes of quality 0 and 100, the limits the model was trained with.
    replicates, seed : int
        Of the bootstrap by identity.

    Raises
    ------
    ShapeError, NotFiniteError
        If `embeddings` or `labels` have the wrong shape, or an embedding is not finite or zero.
    InputError
        If nobody has two pictures, there is one person only, or too few impostor pairs for any rate.
    OptionError
        If the gates are not in 0..100 or the enrolment gate is the lower one.
    """
    minima, vectors = _check_minima(retry_below, enroll_below), np.asarray(embeddings, np.float32)
    scores = score_all_pairs(vectors, labels, tail=2.5 * FMRS[0])
    rows = _supported_rows(scores, replicates, seed)
    origin = f"{data} ({len(vectors)} faces of {scores.subject_count} people); interval: 95 % bootstrap by identity"
    notes = [note for row in rows if (note := _unsupported_note(row))]
    quality, gates = _quality(base, scores, _lengths(vectors), damaged, minima, limits, origin, notes)
    calibration = replace(
        base,
        created=_now(),
        data=data,
        thresholds=tuple(threshold_row(row, base.artifact, base.runtime, origin) for row in rows),
        tails=_tails(scores, base, origin, notes),
        quality=quality,
        stretches=_stretches(vectors, scores, base, origin, notes, min(replicates, STRETCH_REPLICATES)),
    )
    return Measured(calibration, rows, gates, len(vectors), scores.subject_count, tuple(notes), scores)


def _lengths(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(np.linalg.norm(vectors.astype(np.float64), axis=1), np.float64)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _check_minima(retry_below: float, enroll_below: float) -> tuple[float, float]:
    if not 0 <= retry_below <= enroll_below <= 100:
        raise OptionError(f"gates must satisfy 0 <= retry <= enroll <= 100, got {retry_below} and {enroll_below}")
    return retry_below, enroll_below


def _supported_rows(scores: PairScores, replicates: int, seed: int) -> tuple[measured_thresholds.ThresholdRow, ...]:
    rows = calibrate_scores(scores, FMRS, replicates=replicates, seed=seed)
    if not any(row.supported for row in rows):
        raise InputError(
            f"{scores.impostor_count:,} impostor pairs support no false match rate at all: {FMRS[0]:g} needs "
            f"{pairs_needed(FMRS[0]):,}; use more people"
        )
    return rows


def pairs_needed(fmr: float) -> int:
    """Return how many impostor pairs support a false match rate by the rule of 30."""
    return int(np.ceil(MIN_IMPOSTOR_ERRORS / fmr - 1e-6))


def threshold_row(row: measured_thresholds.ThresholdRow, artifact: str, runtime: str, origin: str) -> ThresholdRow:
    """Return a measured row as manifests and calibration files hold it."""
    return ThresholdRow(
        artifact, runtime, row.fmr, row.threshold, row.interval, row.impostors, row.genuines, row.fnmr, row.supported,
        origin,
    )  # fmt: skip


def measure_tail(scores: PairScores, artifact: str, runtime: str, origin: str) -> ImpostorTail:
    """Return the fitted tail as manifests and calibration files hold it; raises `InputError` if there are too few."""
    fit = fit_tail(scores)
    draws = tuple((float(share), float(scale), float(shape)) for share, scale, shape in fit.draws)
    return ImpostorTail(
        artifact, runtime, fit.start, fit.share, fit.scale, fit.shape, draws, fit.impostors,
        f"generalised Pareto fit above FMR {fit.share:.2g}; {origin}",
    )  # fmt: skip


def measure_gates(
    comparisons: Comparisons, threshold: float, minima: Sequence[float], *, replicates: int = 1000
) -> tuple[GateFit, GateFit]:
    """Return the probe gate, asked of both faces, and the enrolment gate, asked of the enrolled one alone.

    Raises
    ------
    InputError
        If too few comparisons pass.
    """
    both = comparisons.both_ways()
    retry_below, enroll_below = minima
    probe = measure_gate(both, threshold, retry_below, replicates=replicates)
    return probe, measure_gate(both, threshold, enroll_below, other_minimum=retry_below, replicates=replicates)


def describe_gate(fit: GateFit, fmr: float, what: str, data: str) -> QualityGate:
    """Return a measured gate as manifests and calibration files hold it."""
    origin = (
        f"measured FNMR {fit.fnmr:.4f} of the {fit.comparisons} comparisons ({100 * fit.share:.1f} %) {what}; the "
        f"promise is to hold in 99 % of the samples of as many other people (bootstrap by identity, twice); {data}"
    )
    return QualityGate(fit.minimum, fit.promise, fmr, origin)


def clean_comparisons(scores: PairScores, magnitude: NDArray[np.float64]) -> Comparisons:
    """Return all genuine pairs of a set, with magnitudes."""
    first, second = scores.genuine_pairs.T
    person = scores.subjects[first]
    return Comparisons(scores.genuine.astype(np.float64), magnitude[first], magnitude[second], person)


def join(first: Comparisons, second: Comparisons | None) -> Comparisons:
    """Return two sets of comparisons of the same numbered people as one."""
    if second is None:
        return first
    columns = ("similarity", "enrolled", "probe", "person")
    return Comparisons(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in columns))


def with_quality(comparisons: Comparisons, scale: QualityScale) -> Comparisons:
    """Return comparisons with qualities in the place of magnitudes."""
    enrolled, probe = scale.quality(comparisons.enrolled), scale.quality(comparisons.probe)
    return Comparisons(comparisons.similarity, enrolled, probe, comparisons.person)


def _quality(
    base: Calibration,
    scores: PairScores,
    magnitude: NDArray[np.float64],
    damaged: Comparisons | None,
    minima: tuple[float, float],
    limits: tuple[float, float],
    origin: str,
    notes: list[str],
) -> tuple[QualityMap, tuple[GateFit, GateFit] | None]:
    fmr = min((f for f in FMRS if f >= QUALITY_FMR and operate(scores, f).supported), default=FMRS[0])
    if fmr != QUALITY_FMR:
        notes.append(f"Quality and gates speak of FMR {fmr:g}: the pairs do not support {QUALITY_FMR:g}.")
    threshold = operate(scores, fmr).threshold
    every = join(clean_comparisons(scores, magnitude), damaged)
    kept = replace(base.quality, fused_origin=_carried(base.quality.fused_origin))
    try:
        worse = np.minimum(every.enrolled, every.probe)
        knots = fit_quality(worse, every.similarity, threshold, la=limits[0], ua=limits[1]).knots
        known = f"quality = 100 x (1 - expected FNMR at FMR {fmr:g}) of a comparison whose worse face is that long"
        quality = replace(kept, knots=knots, origin=f"{known}; {origin}")
    except InputError as error:
        notes.append(f"The quality map is carried over: {error}.")
        quality = replace(kept, origin=_carried(base.quality.origin))
    judged = with_quality(every, QualityScale(quality.knots))
    try:
        probe, enroll = measure_gates(judged, threshold, minima)
    except InputError as error:
        notes.append(f"The gates are carried over: {error}.")
        carried = [replace(gate, origin=_carried(gate.origin)) for gate in (quality.probe_gate, quality.enroll_gate)]
        return replace(quality, probe_gate=carried[0], enroll_gate=carried[1]), None
    gates = (
        describe_gate(probe, fmr, "whose faces both pass", origin),
        describe_gate(enroll, fmr, "whose enrolled face passes, and whose probe passes the probe gate", origin),
    )
    return replace(quality, probe_gate=gates[0], enroll_gate=gates[1]), (probe, enroll)


def _carried(origin: str) -> str:
    return origin if not origin or origin.startswith("carried over") else f"carried over, not measured here: {origin}"


def _tails(scores: PairScores, base: Calibration, origin: str, notes: list[str]) -> tuple[ImpostorTail, ...]:
    try:
        return (measure_tail(scores, base.artifact, base.runtime, origin),)
    except InputError as error:
        notes.append(f"No tail was fitted, so nothing can be extrapolated: {error}.")
        return ()


def _stretches(
    embeddings: NDArray[np.float32],
    scores: PairScores,
    base: Calibration,
    origin: str,
    notes: list[str],
    replicates: int,
) -> tuple[FusedStretch, ...]:
    try:
        found = measure_stretch(embeddings, scores.subjects, base.artifact, base.runtime, origin, replicates=replicates)
    except InputError as error:
        kept = "carried over" if base.stretches else "not known; fused templates are held to those of single pictures"
        notes.append(f"What fused templates ask of thresholds is {kept}: {error}.")
        return tuple(replace(entry, origin=_carried(entry.origin)) for entry in base.stretches)
    return (found,)


def _unsupported_note(row: measured_thresholds.ThresholdRow) -> str | None:
    """Say what the counts cannot, by the rules of 30 and of three."""
    if row.supported:
        return None
    least = int(np.ceil(3 / row.fmr - 1e-6))
    three = (
        f"with {row.impostors:,} not even 'below {row.fmr:g}' can be said when none matches (rule of three: {least:,})"
        if row.impostors < least
        else f"there are {row.impostors:,}"
    )
    return f"FMR {row.fmr:g} is refused: it needs {pairs_needed(row.fmr):,} impostor pairs (rule of 30), {three}."
