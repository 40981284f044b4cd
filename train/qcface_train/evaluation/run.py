"""One evaluation from end to end: run the network, measure, write the report and what a bundle's manifest takes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.calibration.fused import fit_fused
from qcface_sdk.calibration.gates import Comparisons
from qcface_sdk.calibration.measure import STRETCH_REPLICATES, describe_gate, measure_gates, with_quality
from qcface_sdk.calibration.stretch import measure_stretch
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation import PairScores, QualityMapping, operate, score_all_pairs
from qcface_sdk.evaluation.tail import fit_tail
from qcface_sdk.fusion import evidence
from qcface_sdk.measurements import FusedStretch
from qcface_sdk.quality import QualityScale
from qcface_train.evaluation import comparisons, protocol
from qcface_train.evaluation.lfw import VerificationSet, read_lfw
from qcface_train.evaluation.recognizer import LIMITS, PEERS, Recognizer, measure_peer
from qcface_train.evaluation.report import render_page
from qcface_train.evaluation.tracks import FRAMES, fused_similarity, simulate_tracks

Figures = dict[str, Any]

# Twice the largest false match rate of the table, with room for the bootstrap.
_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Options:
    """What to evaluate, and how thoroughly."""

    model: Path
    """ONNX file or bundle."""
    lfw: Path
    """Tar or folder of the verification set."""
    data_name: str = "LFW"
    """What the set is called in the report and in the origin texts."""
    backend: str = "auto"
    """Runtime."""
    precision: str = "auto"
    """Which file of a bundle."""
    threads: int = 1
    """Threads of one run."""
    ladder_faces: int = 200
    """Faces that are damaged."""
    replicates: int = 1000
    """Resamples of each bootstrap."""
    retry_fnmr: float = 0.9
    """A face is to be taken again when its expected false non-match rate at FMR 1e-4 is above this."""
    enroll_fnmr: float = 0.5
    """A face is not to be enrolled when that rate is above this."""
    tracks: int = 4
    """Simulated tracks of each person with six pictures, for the quality of fused pictures; 0 for none."""
    peers: Path | None = None
    """Folder with other quality networks, to be judged on the same comparisons."""
    la: float | None = None
    """Smallest length that an ONNX file was trained for, 1 if None; a bundle states its own."""
    ua: float | None = None
    """Largest one, 100 if None."""

    @property
    def limits(self) -> tuple[float, float] | None:
        """Both lengths; None where neither is given."""
        if self.la is None and self.ua is None:
            return None
        return (LIMITS[0] if self.la is None else self.la, LIMITS[1] if self.ua is None else self.ua)


def evaluate(options: Options, command: Sequence[str] = ()) -> Figures:
    """Run the network over the set and return all figures, as plain JSON values.

    Raises
    ------
    QCFaceError
        If the model or the data cannot be used.
    """
    faces = read_lfw(options.lfw)
    recognizer = Recognizer(
        options.model,
        backend=options.backend,
        precision=options.precision,
        threads=options.threads,
        limits=options.limits,
    )
    try:
        figures = measure(options, recognizer, faces)
    finally:
        recognizer.close()
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"created": created, "command": list(command), **figures}


def measure(options: Options, recognizer: Recognizer, faces: VerificationSet) -> Figures:
    """Do as `evaluate` with a recogniser and faces at hand."""
    embeddings = recognizer.embed(faces.crops, options.data_name)
    model = {
        "file": options.model.name,
        "artifact": recognizer.artifact,
        "sha256": recognizer.sha256,
        "bytes": recognizer.bytes,
        "dimension": embeddings.shape[1],
        "runtime": recognizer.runtime,
        "runtime_version": recognizer.runtime_version,
    }
    data = {"name": options.data_name, "faces": len(faces.crops), "subjects": len(np.unique(faces.subjects))}
    scores = score_all_pairs(embeddings, faces.subjects, tail=_TAIL)
    magnitude = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    replicates = options.replicates
    rates = protocol.measure_rates(scores, replicates=replicates)
    ladder = protocol.climb_ladder(recognizer.embed, faces, embeddings, options.ladder_faces)
    threshold = next(row["threshold"] for row in rates if row["fmr"] == protocol.QUALITY_FMR)
    qualities = {"magnitude": magnitude, "random": np.random.default_rng(0).uniform(size=len(magnitude))}
    if options.peers:
        qualities |= {name: measure_peer(name, options.peers, faces.crops) for name in PEERS}
    stretch = _measure_stretch(options, recognizer, faces, embeddings)
    figures: Figures = {"model": model, "data": data}
    if faces.folds:
        figures["folds"] = protocol.measure_folds(embeddings, faces)
    return figures | {
        "rates": rates,
        "curves": protocol.plot_rates(scores),
        "search": comparisons.measure_identification(embeddings, faces.subjects, replicates=replicates),
        "templates": comparisons.measure_templates(embeddings, faces.subjects, replicates=replicates),
        "qmagface": comparisons.measure_qmagface(embeddings, faces.subjects, replicates=replicates),
        "magnitude": protocol.measure_magnitude(
            magnitude, scores.subjects, ladder, recognizer.la, recognizer.ua, replicates=replicates
        ),
        "ladder": protocol.measure_ladder(ladder, threshold),
        "ladder_mean": protocol.measure_ladder_mean(ladder),
        "rejection": protocol.measure_rejection(scores, qualities, replicates=replicates),
        "quality": _fit_quality(options, recognizer, faces, scores, embeddings, ladder, stretch),
        "tail": _fit_tail(scores),
        "stretch": {"reason": stretch} if isinstance(stretch, str) else asdict(stretch),
    }


def _fit_tail(scores: PairScores) -> Figures:
    try:
        return asdict(fit_tail(scores))
    except InputError as error:
        return {"reason": str(error)}


def _measure_stretch(
    options: Options, recognizer: Recognizer, faces: VerificationSet, embeddings: NDArray[np.float32]
) -> FusedStretch | str:
    """Return what fused templates ask of thresholds, or why it cannot be measured."""
    replicates = min(options.replicates, STRETCH_REPLICATES)
    about = (recognizer.artifact, recognizer.runtime, f"pictures of {options.data_name}, not trained on")
    try:
        return measure_stretch(embeddings, faces.subjects, *about, replicates=replicates)
    except InputError as error:
        return str(error)


def _fit_quality(
    options: Options,
    recognizer: Recognizer,
    faces: VerificationSet,
    scores: PairScores,
    embeddings: NDArray[np.float32],
    ladder: protocol.LadderScores,
    stretch: FusedStretch | str,
) -> Figures:
    magnitude = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    comparisons = protocol.genuine_comparisons(scores, magnitude, ladder)
    threshold = operate(scores, protocol.QUALITY_FMR).threshold
    try:
        mapping = protocol.fit_mapping(comparisons, threshold, la=recognizer.la, ua=recognizer.ua)
        described = _describe_quality(options, mapping, len(ladder.mate_magnitudes))
        gates = _describe_gates(options, mapping, comparisons, threshold)
    except InputError as error:
        return {"reason": str(error)}
    return described | gates | _describe_fused(options, recognizer, faces, embeddings, threshold, stretch)


def _describe_quality(options: Options, mapping: QualityMapping, ladder_faces: int) -> Figures:
    origin = (
        f"quality = 100 x (1 - expected FNMR at FMR {protocol.QUALITY_FMR:g}, threshold {mapping.threshold:.4f}) of a "
        f"genuine comparison whose worse face has this magnitude; isotonic fit to {mapping.comparisons} comparisons: "
        f"{_comparisons_of(options, ladder_faces)}; ends anchored at la (0) and ua (100)"
    )
    return mapping.to_dict(origin)


def _comparisons_of(options: Options, ladder_faces: int) -> str:
    return (
        f"all genuine pairs of {options.data_name}, and {ladder_faces} of its faces on every rung of the degradation "
        "ladder against a clean picture of the same person"
    )


def _describe_gates(options: Options, mapping: QualityMapping, comparisons: Comparisons, threshold: float) -> Figures:
    minima = tuple(mapping.quality_at_fnmr(fnmr) for fnmr in (options.retry_fnmr, options.enroll_fnmr))
    judged = with_quality(comparisons, QualityScale(mapping.knots))
    fits = measure_gates(judged, threshold, minima, replicates=options.replicates)
    uses = ("whose faces both pass", "whose enrolled face passes, and whose probe passes the probe gate")
    data = f"genuine pairs of {options.data_name} and damaged faces of it, each face once the enrolled one"
    gates = [describe_gate(fit, protocol.QUALITY_FMR, use, data) for fit, use in zip(fits, uses, strict=True)]
    return {"probe_gate": asdict(gates[0]), "enroll_gate": asdict(gates[1])}


def _describe_fused(
    options: Options,
    recognizer: Recognizer,
    faces: VerificationSet,
    embeddings: NDArray[np.float32],
    threshold: float,
    stretch: FusedStretch | str,
) -> Figures:
    """Return the quality of fused pictures, or nothing where the set has too few people with six pictures."""
    try:
        tracks = simulate_tracks(recognizer.embed, faces, each=options.tracks) if options.tracks else None
        if tracks is None:
            return {"fused": [], "fused_origin": ""}
        counts = range(2, FRAMES + 1)
        found = [evidence(track[:count]) for count in counts for track in tracks.frames]
        # More is asked of more pictures, which is the same as to count less of their similarity.
        asked = {count: 1.0 if isinstance(stretch, str) else stretch.at(count) for count in counts}
        similar = [fused_similarity(tracks, embeddings, count) / asked[count] for count in counts]
        knots = fit_fused(found, np.concatenate(similar), threshold)
    except InputError:
        return {"fused": [], "fused_origin": ""}
    origin = (
        f"share recognised at FMR {protocol.QUALITY_FMR:g} of {len(tracks.person)} simulated tracks of "
        f"{len(np.unique(tracks.person))} people of {options.data_name}, 2 to {FRAMES} frames each damaged by a random "
        "step of the ladder, against one enrolled picture"
    )
    return {"fused": [list(knot) for knot in knots], "fused_origin": origin}


def threshold_rows(figures: Figures) -> list[Figures]:
    """Return the threshold rows as the manifest holds them.

    Rates of 1e-2 and below; an unsupported row says so and is never used by the SDK.
    """
    model, data = figures["model"], figures["data"]
    origin = (
        f"all pairs of {data['name']} ({data['faces']} faces of {data['subjects']} people, not trained on); interval: "
        f"95 % bootstrap by identity; {model['runtime']} {model['runtime_version']}, file {model['sha256'][:16]}"
    )
    fields = ("fmr", "threshold", "interval", "impostors", "genuines", "fnmr", "supported")
    return [
        {
            "artifact": model["artifact"],
            "runtime": model["runtime"],
            **{name: row[name] for name in fields},
            "origin": origin,
        }
        for row in figures["rates"]
    ]


def tail_rows(figures: Figures) -> list[Figures]:
    """Return the tail of the impostor scores as the manifest holds it, or nothing if none was fitted."""
    model, data, tail = figures["model"], figures["data"], figures["tail"]
    if "reason" in tail:
        return []
    origin = f"generalised Pareto fit above FMR {tail['share']:.2g} to all pairs of {data['name']}"
    return [{"artifact": model["artifact"], "runtime": model["runtime"], **tail, "origin": origin}]


def stretch_rows(figures: Figures) -> list[Figures]:
    """Return what fused templates ask of thresholds as the manifest holds it, or nothing if it was not measured."""
    return [] if "reason" in figures["stretch"] else [figures["stretch"]]


def write_reports(figures: Figures, folder: Path) -> None:
    """Write ``evaluation.json``, ``report.html`` and the manifest's parts ``thresholds.json`` and ``quality.json``.

    ``quality.json`` is left out where no quality could be fitted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "evaluation.json", figures)
    (folder / "report.html").write_text(render_page(figures), encoding="utf-8")
    write_thresholds(figures, folder / "thresholds.json")
    if "reason" not in figures["quality"]:
        write_quality(figures, folder / "quality.json")


def write_thresholds(figures: Figures, file: Path) -> None:
    """Write thresholds, tail and factor for fused templates as ``export/pack_bundle.py --thresholds`` takes them."""
    _write_json(
        file,
        {
            "thresholds": threshold_rows(figures),
            "tails": tail_rows(figures),
            "stretches": stretch_rows(figures),
        },
    )


def write_quality(figures: Figures, file: Path) -> None:
    """Write the quality map and its gates as ``export/pack_bundle.py --quality`` takes it.

    Raises
    ------
    InputError
        If no quality could be fitted.
    """
    if "reason" in figures["quality"]:
        raise InputError(f"there is no quality to write: {figures['quality']['reason']}")
    model = figures["model"]
    entry = {"artifact": model["artifact"], "runtime": model["runtime"], **figures["quality"]}
    _write_json(file, {"quality": [entry]})


def _write_json(file: Path, value: Figures) -> None:
    file.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
