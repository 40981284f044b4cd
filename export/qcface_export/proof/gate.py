"""The gate: run two files on the same pictures and hold every difference to its limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_export.errors import GateError
from qcface_export.proof.limits import Limit, read_limits
from qcface_export.proof.magnitudes import Figures, Ladder, measure_embeddings, measure_ladders
from qcface_export.proof.recognition import Recognition, measure_recognition
from qcface_export.proof.report import Figure, ProofReport
from qcface_sdk.evaluation import KINDS, LADDER_SEED, LEVELS, climb
from qcface_train.evaluation.protocol import choose_ladder_faces

Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From BGR crops (N, 112, 112, 3) to raw embeddings (N, D)."""
_SHOWN_POINTS = 800
_LEAST_PICTURES = 10


@dataclass(frozen=True, slots=True)
class ProofPictures:
    """What to prove on."""

    name: str
    """What the pictures are called in the report."""
    crops: NDArray[np.uint8]
    """(N, 112, 112, 3), BGR."""
    subjects: NDArray[Any] | None = None
    """(N,), who is on each; None for pictures without labels."""
    ladder_faces: int = 200
    """Faces that are damaged in every way."""


def prove(
    reference: Embed,
    candidate: Embed,
    pictures: ProofPictures,
    limits: Mapping[str, Limit] | None = None,
    *,
    artifact: str = "candidate",
    runtime: str = "onnxruntime",
    reference_name: str = "FP32 on ONNX Runtime",
    thresholds: Mapping[float, float] | None = None,
    replicates: int = 1000,
) -> ProofReport:
    """Measure a candidate against its reference.

    Parameters
    ----------
    reference, candidate : callable
        From crops to raw embeddings.
    pictures : ProofPictures
        At least 10; with labels the thresholds are judged too.
    limits : mapping of str to Limit, optional
        None takes ``limits.toml`` beside this module.
    artifact, runtime, reference_name : str
        For the report and the manifest.
    thresholds : mapping of float to float, optional
        False match rate to the reference's threshold on these same pictures (one of others would be judged along with
        the candidate); None measures it here.
    replicates : int
        Resamples of the bootstrap.

    Returns
    -------
    ProofReport
        Whether it passed is for the caller to ask: `ProofReport.check`.

    Raises
    ------
    GateError
        If there are too few pictures for any limit, or an embedding is not a finite vector of some length.
    """
    limits = read_limits() if limits is None else limits
    one, two = _both(reference, candidate, pictures.crops, artifact)
    rows = _ladder_rows(pictures)
    ladders = [_climb(embed, pictures.crops, rows, clean) for embed, clean in ((reference, one), (candidate, two))]
    over_all, kinds = measure_ladders(*ladders)
    values = measure_embeddings(one, two) | over_all
    details: dict[str, Any] = {
        "pictures": {"name": pictures.name, "faces": len(one), "ladder_faces": len(rows)},
        "scatter": _scatter(one, two),
        "ladder": _ladder_details(kinds, *ladders),
    }
    if pictures.subjects is not None:
        found = measure_recognition(one, two, pictures.subjects, thresholds=thresholds, replicates=replicates)
        values |= found.figures
        details |= _recognition_details(found)
    judged = {name: limit for name, limit in limits.items() if name in values and limit.least_faces <= len(rows)}
    if not judged:
        raise GateError(f"none of the limits can be judged on {pictures.name}: it lacks labels, or faces to damage")
    figures = tuple(Figure(name, values[name], limit) for name, limit in judged.items())
    unjudged = tuple(_lacking(name, limits[name], len(rows), values) for name in limits if name not in judged)
    origin = _origin(pictures, len(rows), details)
    return ProofReport(artifact, runtime, reference_name, origin, figures, details, unjudged)


def _lacking(name: str, limit: Limit, ladder_faces: int, values: Figures) -> str:
    """Return a limit that is not judged, with what it would need."""
    if name in values:
        return f"{name} (needs {limit.least_faces} damaged faces, got {ladder_faces})"
    return f"{name} (needs labelled pictures)"


def _both(
    reference: Embed, candidate: Embed, crops: NDArray[np.uint8], artifact: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Run both files, or raise `GateError` if what they give cannot be compared."""
    if len(crops) < _LEAST_PICTURES:
        raise GateError(f"a proof needs at least {_LEAST_PICTURES} pictures, got {len(crops)}")
    one = _checked(reference(crops), "reference", len(crops))
    two = _checked(candidate(crops), artifact, len(crops))
    if one.shape != two.shape:
        raise GateError(f"both files must give embeddings of one size, got {one.shape[1]} and {two.shape[1]}")
    return one, two


def _origin(pictures: ProofPictures, ladder_faces: int, details: Mapping[str, Any]) -> str:
    people = f" of {len(np.unique(pictures.subjects))} people" if pictures.subjects is not None else ", no labels"
    rate = f"; rates at FMR {details['fmr']:g}" if "fmr" in details else ""
    return (
        f"{pictures.name}: {len(pictures.crops)} aligned faces{people}, {ladder_faces} of them on every rung of the "
        f"degradation ladder{rate}"
    )


def _checked(embeddings: NDArray[np.float32], what: str, count: int) -> NDArray[np.float32]:
    rows = np.asarray(embeddings, np.float32)
    if rows.ndim != 2 or len(rows) != count:
        raise GateError(f"{what} must give one embedding for each of {count} pictures, got shape {rows.shape}")
    if not np.isfinite(rows).all() or not np.abs(rows).max(axis=1).all():
        raise GateError(f"{what} gives NaN, infinity or zero vectors on ordinary pictures; its weights are damaged")
    return rows


def _ladder_rows(pictures: ProofPictures) -> NDArray[np.int64]:
    if pictures.subjects is not None:
        rows = choose_ladder_faces(pictures.subjects, pictures.ladder_faces)[0]
        if len(rows):
            return rows
    return np.linspace(0, len(pictures.crops) - 1, min(pictures.ladder_faces, len(pictures.crops))).astype(np.int64)


def _climb(embed: Embed, crops: NDArray[np.uint8], rows: NDArray[np.int64], embeddings: NDArray[np.float32]) -> Ladder:
    clean = np.linalg.norm(embeddings[rows].astype(np.float64), axis=1)
    ladder: Ladder = {}
    for kind in KINDS:
        rungs = [climb(crops[row], kind, seed=LADDER_SEED + place)[1:] for place, row in enumerate(rows)]
        damaged = _checked(embed(np.concatenate(rungs)), f"the network on {kind}", len(rows) * LEVELS)
        lengths = np.linalg.norm(damaged.astype(np.float64), axis=1).reshape(len(rows), LEVELS)
        ladder[kind] = np.concatenate([clean[:, None], lengths], axis=1)
    return ladder


def _scatter(one: NDArray[np.float32], two: NDArray[np.float32]) -> dict[str, list[float]]:
    some = np.linspace(0, len(one) - 1, min(_SHOWN_POINTS, len(one))).astype(np.int64)
    pair = (np.linalg.norm(rows[some].astype(np.float64), axis=1).round(4).tolist() for rows in (one, two))
    return dict(zip(("reference", "candidate"), pair, strict=True))


def _ladder_details(kinds: Mapping[str, Figures], reference: Ladder, candidate: Ladder) -> dict[str, Any]:
    return {
        kind: {
            **found,
            "reference_mean": reference[kind].mean(0).tolist(),
            "mean": candidate[kind].mean(0).tolist(),
        }
        for kind, found in kinds.items()
    }


def _recognition_details(found: Recognition) -> dict[str, Any]:
    shares = np.linspace(0, 0.6, 121)
    return {
        "fmr": found.fmr,
        "tar_loss_interval": list(found.tar_interval),
        "rates": list(found.rates),
        "edc": {
            "rejected": shares.tolist(),
            **{name: [curve.fnmr_at(float(share)) for share in shares] for name, curve in found.curves.items()},
        },
    }
