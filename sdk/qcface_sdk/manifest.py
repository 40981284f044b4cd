"""The manifest of a model bundle, schema 2: what a bundle holds and what was measured of it.

A bundle is a folder, or the same files in one uncompressed zip (``.qcface``), all on one level. ``manifest.json``
is UTF-8 JSON; every key below but ``stretches`` is required, no other is allowed, numbers are finite.

=============  =====================================================================================================
key            meaning
=============  =====================================================================================================
schema         2
name           short name of the model, such as ``qcface-edge``
version        version of the model
created        UTC time of packing, ``YYYY-MM-DDTHH:MM:SSZ``
license        licence of the weights, in words
training_data  what the weights were trained on, in words
tools          name to version of the programs that made the files
input          how pixels become recogniser input: `InputContract`
embedding      what comes out, and its contract id: `EmbeddingContract`
quality        magnitude to quality 0..100 and the gates, one per artefact and runtime: list of `QualityMap`
detector       the detector's file and how it was measured: `DetectorInfo`
artifacts      the recogniser's files, best first: list of `Artifact`
thresholds     measured decision thresholds: list of `ThresholdRow`
tails          impostor scores beyond the measured rates, may be empty: list of `ImpostorTail`
proofs         what the export measured of each artefact against its reference, may be empty: list of `Proof`
files          file name to SHA-256 and size: `FileRecord`; every file but the manifest, and no other
stretches      optional: what fused templates ask of thresholds, by artefact and runtime: list of `FusedStretch`
=============  =====================================================================================================

The contract id (`qcface_sdk.contract`) is computed again from the values at load; a manifest whose id does not follow
from them is refused. A later schema adds or changes keys under a new number and is refused by this version by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from qcface_sdk.contract import contract_id
from qcface_sdk.errors import ManifestError
from qcface_sdk.measurements import (
    FusedStretch,
    ImpostorTail,
    Proof,
    ProofFigure,
    QualityGate,
    QualityMap,
    ThresholdRow,
)
from qcface_sdk.strict_json import OPTIONAL, decode, dump_object, parse_object

__all__ = [
    "MANIFEST_NAME",
    "PRECISIONS",
    "SCHEMA",
    "Artifact",
    "DetectorInfo",
    "EmbeddingContract",
    "FileRecord",
    "FusedStretch",
    "ImpostorTail",
    "InputContract",
    "Manifest",
    "Proof",
    "ProofFigure",
    "QualityGate",
    "QualityMap",
    "ThresholdRow",
    "is_bundle_file_name",
]

SCHEMA = 2
MANIFEST_NAME = "manifest.json"
SIGNATURE_NAME = "manifest.sig"
PRECISIONS = ("fp32", "fp16", "bf16", "int8", "fp8")

# An alignment template stands for one set of points on one crop size for ever (qcface_sdk.geometry).
_TEMPLATE_SIZES = {"arcface-112": (112, 112)}
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TOKEN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def is_bundle_file_name(name: str) -> bool:
    """Return whether a bundle may hold a file of this name: plain ASCII, no folder, no leading dot, not too long."""
    return _FILE_NAME.fullmatch(name) is not None


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ManifestError(message)


@dataclass(frozen=True, slots=True)
class InputContract:
    """How an aligned face becomes recogniser input: ``(pixel - mean) / std`` per channel."""

    size_wh: tuple[int, int]
    """Width and height in pixels."""
    color: str
    """Channel order of the network input, ``RGB`` or ``BGR``."""
    mean: tuple[float, float, float]
    """Subtracted from each channel, in the order of `color`, pixel values 0..255."""
    std: tuple[float, float, float]
    """Divides each channel, above 0."""
    layout: str
    """``NCHW``."""
    template: str
    """Name of the alignment template, ``arcface-112``."""

    def __post_init__(self) -> None:
        _require(self.color in ("RGB", "BGR"), f"color must be RGB or BGR, got {self.color!r}")
        _require(self.layout == "NCHW", f"layout must be NCHW, got {self.layout!r}")
        _require(min(self.std) > 0, f"std must be above 0, got {self.std}")
        known = ", ".join(_TEMPLATE_SIZES)
        _require(self.template in _TEMPLATE_SIZES, f"template must be one of {known}, got {self.template!r}")
        wanted = _TEMPLATE_SIZES[self.template]
        _require(self.size_wh == wanted, f"size_wh must be {wanted} for template {self.template}, got {self.size_wh}")

    def contract_id(self, master_sha256: str, dimension: int) -> str:
        """Return the id of the embedding contract that this preparation and these weights make."""
        preparation: dict[str, str | Sequence[float]] = {
            "size_wh": self.size_wh,
            "color": self.color,
            "mean": self.mean,
            "std": self.std,
            "layout": self.layout,
        }
        return contract_id(master_sha256, preparation, self.template, dimension)


@dataclass(frozen=True, slots=True)
class EmbeddingContract:
    """What the recogniser gives: raw embeddings whose length is the magnitude."""

    dimension: int
    """Numbers in an embedding."""
    contract: str
    """Contract id; embeddings of other ids are not comparable."""
    master_sha256: str
    """SHA-256 of the FP32 master ONNX file, from which every artefact was made."""
    la: float
    """Smallest magnitude the training aimed at (recognizability 0)."""
    ua: float
    """Largest magnitude the training aimed at (recognizability 1)."""

    def __post_init__(self) -> None:
        _require(1 <= self.dimension <= 65536, f"dimension must be 1..65536, got {self.dimension}")
        digest = _SHA256.fullmatch(self.master_sha256)
        _require(digest is not None, f"master_sha256 must be 64 lower-case hex digits, got {self.master_sha256!r}")
        _require(0 < self.la < self.ua, f"la and ua must satisfy 0 < la < ua, got {self.la} and {self.ua}")


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """The detector (YuNet output layout) and where it is measured to be reliable."""

    file: str
    """File name in the bundle."""
    score_threshold: float
    """Detections below this score are dropped, 0..1."""
    iou_threshold: float
    """Of two detections that overlap by more than this, the weaker is dropped, 0..1."""
    smallest_face: float
    """Shorter box side, in network-input pixels, from which faces are found reliably."""
    largest_face: float
    """Shorter box side, in network-input pixels, up to which faces are found reliably."""
    origin: str
    """How the two sizes were measured."""

    def __post_init__(self) -> None:
        thresholds = (self.score_threshold, self.iou_threshold)
        _require(all(0 < value < 1 for value in thresholds), f"thresholds must lie between 0 and 1, got {thresholds}")
        sizes = (self.smallest_face, self.largest_face)
        _require(0 < sizes[0] < sizes[1], f"smallest_face must be above 0 and below largest_face, got {sizes}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of the recogniser."""

    id: str
    """Name that threshold rows refer to, such as ``recognizer-fp32``."""
    file: str
    """File name in the bundle."""
    precision: str
    """``fp32``, ``fp16``, ``bf16``, ``int8`` or ``fp8``."""
    runtimes: tuple[str, ...]
    """Backends it was made for: ``onnxruntime``, ``openvino``, ..."""

    def __post_init__(self) -> None:
        _require(_TOKEN.fullmatch(self.id) is not None, f"id must be lower-case letters, digits, ._-, got {self.id!r}")
        _require(self.precision in PRECISIONS, f"precision must be one of {PRECISIONS}, got {self.precision!r}")
        valid = all(_TOKEN.fullmatch(name) for name in self.runtimes) and len(set(self.runtimes)) == len(self.runtimes)
        _require(valid and bool(self.runtimes), f"runtimes must be different backend names, got {self.runtimes}")


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What a file must be."""

    sha256: str
    """64 lower-case hex digits."""
    bytes: int
    """Size."""

    def __post_init__(self) -> None:
        _require(_SHA256.fullmatch(self.sha256) is not None, "sha256 must be 64 lower-case hex digits")
        _require(self.bytes >= 0, f"bytes must not be negative, got {self.bytes}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a bundle says about itself; see the module docstring. Immutable, so it may be shared by threads."""

    schema: int
    """2."""
    name: str
    """Short name of the model."""
    version: str
    """Version of the model."""
    created: str
    """UTC time of packing, ``YYYY-MM-DDTHH:MM:SSZ``."""
    license: str
    """Licence of the weights."""
    training_data: str
    """What the weights were trained on."""
    tools: Mapping[str, str]
    """Name to version of the programs that made the files."""
    input: InputContract
    """How pixels become recogniser input."""
    embedding: EmbeddingContract
    """What comes out."""
    quality: tuple[QualityMap, ...]
    """Magnitude to quality and the quality gates, exactly one for every artefact on every of its runtimes."""
    detector: DetectorInfo
    """The detector."""
    artifacts: tuple[Artifact, ...]
    """The recogniser's files, best first."""
    thresholds: tuple[ThresholdRow, ...]
    """Measured decision thresholds."""
    tails: tuple[ImpostorTail, ...]
    """How impostor scores run out beyond the measured rates; at most one for an artefact on a runtime."""
    proofs: tuple[Proof, ...]
    """What the export measured of the artefacts against their references."""
    files: Mapping[str, FileRecord]
    """Every file of the bundle but the manifest."""
    stretches: tuple[FusedStretch, ...] = field(default=(), metadata=OPTIONAL)
    """By how much thresholds grow for fused templates, at most one for an artefact on a runtime. Where there is none,
    fused templates are held to the thresholds of single pictures."""

    def __post_init__(self) -> None:
        _require(self.schema == SCHEMA, _schema_message(self.schema))
        for key in ("name", "version", "license", "training_data"):
            _require(bool(getattr(self, key).strip()), f"{key} must not be empty")
        utc = _TIME.fullmatch(self.created) is not None
        _require(utc, f"created must be YYYY-MM-DDTHH:MM:SSZ, got {self.created!r}")
        expected = self.input.contract_id(self.embedding.master_sha256, self.embedding.dimension)
        given = self.embedding.contract
        _require(
            given == expected, f"embedding.contract must be {expected}, as input and embedding make it, got {given!r}"
        )
        self._check_files()
        self._check_thresholds()
        self._check_pairs()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Parse and check ``manifest.json``.

        Parameters
        ----------
        data : bytes
            The whole file.

        Raises
        ------
        ManifestError
            If it is not JSON, of another schema, has an unknown or missing key, a value of another type or out of
            range, or contradicts itself. The message names the key's path.
        """
        value = parse_object(data, MANIFEST_NAME)
        schema = value.get("schema")
        # Before anything else: a newer schema has keys this version cannot judge.
        if type(schema) is not int or schema != SCHEMA:
            raise ManifestError(_schema_message(schema))
        return decode(cls, value, "")

    def to_json(self) -> bytes:
        """Return the manifest as ``manifest.json``; equal manifests give equal bytes."""
        return dump_object(self)

    def _check_files(self) -> None:
        for name in self.files:
            _require(is_bundle_file_name(name), f"files: {name!r} is no plain file name (no folders, ASCII)")
        # On Windows and macOS names that differ in case alone are one file; the manifest lists neither itself nor
        # its signature.
        folded = {name.lower() for name in self.files} | {MANIFEST_NAME, SIGNATURE_NAME}
        distinct = len(folded) == len(self.files) + 2
        _require(distinct, f"files: names must differ in more than case, got {sorted(self.files)}")
        _require(bool(self.artifacts), "artifacts must hold at least one recogniser")
        ids = [artifact.id for artifact in self.artifacts]
        _require(len(set(ids)) == len(ids), f"artifacts: ids must differ, got {ids}")
        for name in (self.detector.file, *(artifact.file for artifact in self.artifacts)):
            _require(name in self.files, f"files: {name!r}, named by detector or artifacts, is not listed")

    def _check_thresholds(self) -> None:
        runtimes = {artifact.id: artifact.runtimes for artifact in self.artifacts}
        tables: dict[tuple[str, str], list[ThresholdRow]] = {}
        for row in self.thresholds:
            known = row.runtime in runtimes.get(row.artifact, ())
            _require(known, f"thresholds: no artefact {row.artifact!r} for runtime {row.runtime!r}")
            tables.setdefault((row.artifact, row.runtime), []).append(row)
        for rows in tables.values():
            for strict, loose in pairwise(sorted(rows, key=lambda row: row.fmr)):
                where = f"thresholds of {strict.artifact} on {strict.runtime}"
                _require(strict.fmr < loose.fmr, f"{where}: fmr {strict.fmr:g} stands twice")
                falls = strict.threshold >= loose.threshold
                _require(falls, f"{where}: fmr {strict.fmr:g} must not have a lower threshold than fmr {loose.fmr:g}")

    def _check_pairs(self) -> None:
        """Refuse measurements of artefacts that are not there, twice the same one, and artefacts without quality."""
        wanted = [(artifact.id, runtime) for artifact in self.artifacts for runtime in artifact.runtimes]
        lists: tuple[tuple[str, Sequence[QualityMap | ImpostorTail | FusedStretch | Proof], bool], ...] = (
            ("quality", self.quality, True),
            ("tails", self.tails, True),
            ("stretches", self.stretches, True),
            ("proofs", self.proofs, False),
        )
        for name, entries, once in lists:
            seen = [(entry.artifact, entry.runtime) for entry in entries]
            for artifact, runtime in seen:
                known = (artifact, runtime) in wanted
                _require(known, f"{name}: no artefact {artifact!r} for runtime {runtime!r}")
                twice = once and seen.count((artifact, runtime)) > 1
                _require(not twice, f"{name}: {artifact} on {runtime} stands twice")
        mapped = {(entry.artifact, entry.runtime) for entry in self.quality}
        for artifact, runtime in wanted:
            _require((artifact, runtime) in mapped, f"quality: no entry for {artifact} on {runtime}")


def _schema_message(schema: object) -> str:
    if type(schema) is int and schema > SCHEMA:
        return f"schema {schema} is newer than this SDK reads ({SCHEMA}); upgrade with: pip install -U qcface-sdk"
    return f"schema must be {SCHEMA}, got {schema!r}; pack the bundle again with export/pack_bundle.py"
