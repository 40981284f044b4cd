"""Put engines that passed where the SDK finds them: in the store of this machine, and their files into a bundle.

A bundle holds no engine, since an engine is for one machine; it holds the ONNX file the engine was built from, its
thresholds, its quality map and its proof. The store holds the engine under that file's hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from qcface_export.proof import ProofPictures
from qcface_export.tensorrt.engines import BuiltFile
from qcface_export.tensorrt.request import REFERENCE_RUNTIME, Request, artifact_id, file_name
from qcface_sdk.bundle import Bundle, file_records
from qcface_sdk.evaluation.thresholds import ThresholdRow as MeasuredRow
from qcface_sdk.evaluation.thresholds import calibrate as measure_thresholds
from qcface_sdk.manifest import Artifact
from qcface_sdk.measurements import FusedStretch, QualityMap, ThresholdRow
from qcface_sdk.runtime.engine_store import EngineStore, write_engine
from qcface_sdk.runtime.trt_open import TrtEnvironment, engine_key, open_trt

RUNTIME = "tensorrt"


def install(
    request: Request,
    pictures: ProofPictures,
    built: Mapping[str, BuiltFile],
    here: TrtEnvironment,
    store: EngineStore | None = None,
) -> Path:
    """Write the engines and the bundle, and return the bundle's folder.

    Raises
    ------
    ModelError
        If a place cannot be written.
    """
    shelf = store or EngineStore()
    for precision, file in built.items():
        shelf.save(engine_key(file.model, file.options, here.target), file.plan, file.info)
        write_engine(request.output / f"engine-{precision}", file.plan, file.info)
    _install_detector(request, here, shelf)
    folder = request.output / "bundle"
    extended_bundle(request, pictures, list(built.values())).save_folder(folder, overwrite=True)
    Bundle.load(folder)
    return folder


def extended_bundle(request: Request, pictures: ProofPictures, built: Sequence[BuiltFile]) -> Bundle:
    """Return the request's bundle with the files for TensorRT, fastest first, and what was measured of them."""
    old = request.bundle.manifest
    ordered = sorted(built, key=lambda file: file.info.latency_ms[file.precision])
    new = [Artifact(artifact_id(f.precision), file_name(f.precision), f.precision, (RUNTIME,)) for f in ordered]
    ids = {artifact.id for artifact in new}
    files = {
        **request.bundle.files,
        **{artifact.file: file.model for artifact, file in zip(new, ordered, strict=True)},
    }
    manifest = replace(
        old,
        artifacts=(*(a for a in old.artifacts if a.id not in ids), *new),
        quality=(*(q for q in old.quality if q.artifact not in ids), *(_quality(request, f) for f in ordered)),
        thresholds=(
            *(row for row in old.thresholds if row.artifact not in ids),
            *(row for file in ordered for row in _thresholds(request, pictures, file)),
        ),
        tails=tuple(tail for tail in old.tails if tail.artifact not in ids),
        stretches=(
            *(found for found in old.stretches if found.artifact not in ids),
            *(found for file in ordered for found in _stretches(request, file)),
        ),
        proofs=(*(p for p in old.proofs if p.artifact not in ids), *(f.report.to_proof() for f in ordered)),
        files=file_records(files),
    )
    return Bundle.create(manifest, files)


def _quality(request: Request, file: BuiltFile) -> QualityMap:
    source = request.bundle.quality_map(request.reference.id, REFERENCE_RUNTIME)
    note = _inherited(request)
    return replace(source, artifact=artifact_id(file.precision), runtime=RUNTIME, origin=f"{note}; {source.origin}")


def _stretches(request: Request, file: BuiltFile) -> list[FusedStretch]:
    """Return what fused templates of the FP32 file, which the engine was proved against, ask of thresholds."""
    wanted, note = (request.reference.id, REFERENCE_RUNTIME), _inherited(request)
    return [
        replace(found, artifact=artifact_id(file.precision), runtime=RUNTIME, origin=f"{note}; {found.origin}")
        for found in request.bundle.manifest.stretches
        if (found.artifact, found.runtime) == wanted
    ]


def _thresholds(request: Request, pictures: ProofPictures, file: BuiltFile) -> list[ThresholdRow]:
    """Return thresholds measured on the engine where people were given, else those of the FP32 file."""
    name = artifact_id(file.precision)
    if pictures.subjects is None:
        rows = request.bundle.thresholds(request.reference.id, REFERENCE_RUNTIME)
        note = _inherited(request)
        return [replace(row, artifact=name, runtime=RUNTIME, origin=f"{note}; {row.origin}") for row in rows]
    target = file.info.target
    origin = f"measured on the engine ({target.gpu}, TensorRT {target.tensorrt}) with {pictures.name}"
    return [
        ThresholdRow(artifact=name, runtime=RUNTIME, origin=origin, **_measured(row))
        for row in measure_thresholds(file.embeddings, pictures.subjects)
    ]


def _measured(row: MeasuredRow) -> dict[str, Any]:
    names = ("fmr", "threshold", "interval", "impostors", "genuines", "fnmr", "supported")
    return {name: getattr(row, name) for name in names}


def _inherited(request: Request) -> str:
    return f"inherited from {request.reference.id} on {REFERENCE_RUNTIME}, which the engine was proved against"


def _install_detector(request: Request, here: TrtEnvironment, store: EngineStore) -> None:
    """Build the detector's engine, so that nothing is left to be built when the SDK starts."""
    detector = request.bundle.read(request.bundle.manifest.detector.file)
    open_trt(detector, store=store, environment=here).close()
