"""Make a model bundle out of ONNX files and what was measured of them.

Everything is checked before anything is written: the files by `qcface_export.model_checks`, the JSON by the manifest's
schema. A bundle is written whole or not at all and loaded again before its place is reported.
"""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_export.model_checks import check_detector, check_onnx, recognizer_embeddings
from qcface_sdk.bundle import Bundle, file_records
from qcface_sdk.errors import ModelFormatError
from qcface_sdk.manifest import (
    SCHEMA,
    Artifact,
    DetectorInfo,
    EmbeddingContract,
    FusedStretch,
    ImpostorTail,
    InputContract,
    Manifest,
    Proof,
    QualityMap,
    ThresholdRow,
)
from qcface_sdk.runtime import available_backends, resolve_backend
from qcface_sdk.strict_json import decode, parse_object

RECOGNIZER_FILE = "recognizer.fp32.onnx"
RECOGNIZER_ID = "recognizer-fp32"
DETECTOR_FILE = "detector.fp32.onnx"
CARD_FILE = "MODEL_CARD.md"
# What train/ feeds the network: (x - 127.5) / 127.5 of an RGB crop on the ArcFace template.
INPUT = InputContract((112, 112), "RGB", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), "NCHW", "arcface-112")

_MEASURED_RUNTIME = "onnxruntime"
# Two float32 runtimes agree far better; a runtime that computes in BF16 does not.
_LEAST_COSINE = 0.99999
_LARGEST_MAGNITUDE_CHANGE = 1e-3


@dataclass(frozen=True, slots=True)
class DerivedFile:
    """A file made of the master for some runtimes: quantised, or of another float type."""

    artifact: Artifact
    """Its entry in the manifest."""
    data: bytes
    """Its content."""
    preferred: bool = True
    """Whether its runtimes take it rather than FP32."""


@dataclass(frozen=True, slots=True)
class BundleParts:
    """What a bundle is made of."""

    recognizer: bytes
    """FP32 recogniser, ONNX."""
    detector: bytes
    """FP32 detector with YuNet's outputs, ONNX."""
    card: bytes
    """Model card, Markdown in UTF-8."""
    thresholds: bytes
    """JSON object with the key ``thresholds``, a list of `ThresholdRow`, and perhaps ``tails``, of `ImpostorTail`, and
    ``stretches``, of `FusedStretch`."""
    quality: bytes
    """JSON object with the key ``quality``: a list of `QualityMap`."""
    detector_info: bytes
    """JSON object: a `DetectorInfo` without ``file``."""
    name: str
    """Short name of the model."""
    version: str
    """Version of the model."""
    license: str
    """Licence of the weights, in words."""
    training_data: str
    """What the weights were trained on, in words."""
    proofs: bytes = b'{"proofs": []}'
    """JSON object with the key ``proofs``: a list of `Proof`."""
    derived: tuple[DerivedFile, ...] = ()
    """Further files of the recogniser; each needs a passed proof, thresholds and a quality map for every runtime."""
    further: Mapping[str, bytes] = field(default_factory=dict)
    """File name to content of what later builds start from, such as the calibration table; no runtime reads it."""
    la: float = 1.0
    """Smallest magnitude the training aimed at."""
    ua: float = 100.0
    """Largest magnitude the training aimed at."""
    master_sha256: str | None = None
    """SHA-256 of the FP32 master file; None if `recognizer` is the master."""
    runtimes: tuple[str, ...] = (_MEASURED_RUNTIME,)
    """Backends the recogniser is checked with and offered for."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Name to version of programs that made the files, beside those found out here."""
    created: str | None = None
    """UTC time of packing, ``YYYY-MM-DDTHH:MM:SSZ``; None is now."""


def make_bundle(parts: BundleParts) -> Bundle:
    """Check the parts and make a bundle of them.

    Raises
    ------
    ModelFormatError
        If an ONNX file is not what the SDK expects, or two runtimes disagree about it.
    ManifestError
        If a JSON part does not follow the schema.
    BackendUnavailableError
        If one of `runtimes` is not installed.
    """
    tools = _tools(parts)
    embeddings = {runtime: recognizer_embeddings(parts.recognizer, runtime) for runtime in parts.runtimes}
    for runtime in parts.runtimes:
        check_detector(parts.detector, runtime)
    dimension = next(iter(embeddings.values())).shape[1]
    proofs, thresholds = _proofs(parts.proofs), _threshold_rows(parts.thresholds)
    for derived in parts.derived:
        _check_derived(derived, dimension, proofs, thresholds)
    files = {RECOGNIZER_FILE: parts.recognizer, DETECTOR_FILE: parts.detector, CARD_FILE: parts.card}
    files |= {derived.artifact.file: derived.data for derived in parts.derived}
    if taken := sorted(files.keys() & parts.further.keys()):
        raise ModelFormatError(f"further files must have names of their own, got {taken[0]!r} twice; rename it")
    files |= parts.further
    master = parts.master_sha256 or hashlib.sha256(parts.recognizer).hexdigest()
    manifest = Manifest(
        schema=SCHEMA,
        name=parts.name,
        version=parts.version,
        created=parts.created or time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        license=parts.license,
        training_data=parts.training_data,
        tools=tools,
        input=INPUT,
        embedding=EmbeddingContract(dimension, INPUT.contract_id(master, dimension), master, parts.la, parts.ua),
        quality=_with_inherited(_quality_maps(parts.quality), embeddings, "quality map"),
        detector=_detector_info(parts.detector_info),
        artifacts=_artifacts(parts),
        thresholds=_with_inherited(thresholds, embeddings, "thresholds"),
        tails=_with_inherited(_tails(parts.thresholds), embeddings, "tail"),
        proofs=proofs,
        files=file_records(files),
        stretches=_with_inherited(_stretches(parts.thresholds), embeddings, "factor for fused templates"),
    )
    return Bundle.create(manifest, files)


def _artifacts(parts: BundleParts) -> tuple[Artifact, ...]:
    plain = Artifact(RECOGNIZER_ID, RECOGNIZER_FILE, "fp32", parts.runtimes)
    before = [derived.artifact for derived in parts.derived if derived.preferred]
    after = [derived.artifact for derived in parts.derived if not derived.preferred]
    return (*before, plain, *after)


def _check_derived(
    derived: DerivedFile, dimension: int, proofs: tuple[Proof, ...], thresholds: tuple[ThresholdRow, ...]
) -> None:
    """Refuse a file that does not run, or of which nothing is proven or measured on one of its runtimes."""
    artifact = derived.artifact
    for runtime in artifact.runtimes:
        got = recognizer_embeddings(derived.data, runtime).shape[1]
        if got != dimension:
            raise ModelFormatError(f"{artifact.id} must give embeddings of {dimension} numbers, got {got}")
        where = f"{artifact.id} on {runtime}"
        if not any((proof.artifact, proof.runtime) == (artifact.id, runtime) and proof.passed for proof in proofs):
            raise ModelFormatError(f"{where} has no passed proof; export/release.py makes files with their proofs")
        if not any((row.artifact, row.runtime) == (artifact.id, runtime) for row in thresholds):
            raise ModelFormatError(f"{where} has no thresholds of its own; export/release.py measures them")


def write_bundle(bundle: Bundle, folder: Path, file: Path | None = None, *, overwrite: bool = False) -> None:
    """Write a bundle as a folder, and as one file if asked, and load both again.

    Raises
    ------
    OptionError
        If something is there already and may not be replaced.
    ModelError
        If the place cannot be written, or what was written does not verify.
    """
    bundle.save_folder(folder, overwrite=overwrite)
    Bundle.load(folder)
    if file is not None:
        bundle.save_file(file, overwrite=overwrite)
        Bundle.load(file)


def _tools(parts: BundleParts) -> Mapping[str, str]:
    for runtime in parts.runtimes:
        resolve_backend(runtime)
    versions = {info.name: info.version or "unknown" for info in available_backends() if info.name in parts.runtimes}
    made_by = {
        "recognizer producer": check_onnx(parts.recognizer, "recogniser"),
        "detector producer": check_onnx(parts.detector, "detector"),
    }
    here = {"python": platform.python_version(), "numpy": np.__version__}
    return MappingProxyType({**here, **versions, **made_by, **parts.tools})


def _detector_info(data: bytes) -> DetectorInfo:
    return decode(DetectorInfo, {**parse_object(data, "detector"), "file": DETECTOR_FILE}, "detector")


@dataclass(frozen=True, slots=True)
class _ThresholdFile:
    thresholds: tuple[ThresholdRow, ...]
    tails: tuple[ImpostorTail, ...]
    stretches: tuple[FusedStretch, ...]


@dataclass(frozen=True, slots=True)
class _QualityFile:
    quality: tuple[QualityMap, ...]


@dataclass(frozen=True, slots=True)
class _ProofFile:
    proofs: tuple[Proof, ...]


def _threshold_file(data: bytes) -> _ThresholdFile:
    return decode(_ThresholdFile, {"tails": [], "stretches": [], **parse_object(data, "thresholds")}, "")


def _threshold_rows(data: bytes) -> tuple[ThresholdRow, ...]:
    return _threshold_file(data).thresholds


def _tails(data: bytes) -> tuple[ImpostorTail, ...]:
    return _threshold_file(data).tails


def _stretches(data: bytes) -> tuple[FusedStretch, ...]:
    return _threshold_file(data).stretches


def _quality_maps(data: bytes) -> tuple[QualityMap, ...]:
    return decode(_QualityFile, parse_object(data, "quality"), "").quality


def _proofs(data: bytes) -> tuple[Proof, ...]:
    return decode(_ProofFile, parse_object(data, "proofs"), "").proofs


_Measured = TypeVar("_Measured", ThresholdRow, QualityMap, ImpostorTail, FusedStretch)


def _with_inherited(
    rows: tuple[_Measured, ...], embeddings: Mapping[str, NDArray[np.float32]], what: str
) -> tuple[_Measured, ...]:
    """Add the measured runtime's rows for runtimes without their own that give the same embeddings."""
    reference = embeddings.get(_MEASURED_RUNTIME)
    measured = [row for row in rows if (row.artifact, row.runtime) == (RECOGNIZER_ID, _MEASURED_RUNTIME)]
    if reference is None or not measured:
        return rows
    inherited: list[_Measured] = []
    for runtime, values in embeddings.items():
        if not any((row.artifact, row.runtime) == (RECOGNIZER_ID, runtime) for row in rows):
            cosine = _check_agreement(reference, values, runtime, what)
            note = f"inherited from {_MEASURED_RUNTIME} (smallest cosine {cosine:.7f} on {len(values)} drawn inputs)"
            inherited += [replace(row, runtime=runtime, origin=f"{note}; {row.origin}") for row in measured]
    return rows + tuple(inherited)


def _check_agreement(reference: NDArray[np.float32], other: NDArray[np.float32], runtime: str, what: str) -> float:
    lengths, others = np.linalg.norm(reference, axis=1), np.linalg.norm(other, axis=1)
    cosine = float(np.min(np.sum(reference.astype(np.float64) * other, axis=1) / (lengths * others)))
    change = float(np.max(np.abs(others / lengths - 1)))
    if cosine < _LEAST_COSINE or change > _LARGEST_MAGNITUDE_CHANGE:
        raise ModelFormatError(
            f"{runtime} must give the embeddings of {_MEASURED_RUNTIME} to inherit its {what} (cosine at least "
            f"{_LEAST_COSINE}, magnitude within {_LARGEST_MAGNITUDE_CHANGE}), got {cosine:.6f} and {change:.2g}; "
            f"measure it with {runtime} or leave that runtime out"
        )
    return min(cosine, 1.0)
