"""The ONNX files an engine is built from, made and proved on the CPU, with or without a GPU at hand.

The INT8 file computes its float part in FP16, which CPUs do slowly and otherwise. So its twin with an FP32 float part
is what is proved here: the same integers, the same steps. The engine is proved again on the GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from qcface_export.calibration import calibrate
from qcface_export.calibration_table import DEFAULT_PERCENTILE, CalibrationTable
from qcface_export.embedders import FileEmbedder
from qcface_export.emit import emit_trt
from qcface_export.emit.typed import with_half_floats
from qcface_export.errors import CalibrationError, GateError
from qcface_export.face_check import check_faces
from qcface_export.layer_choice import CHOICE_FILE, TABLE_FILE, LayerChoice
from qcface_export.mixed_precision import last_layers, search_layers
from qcface_export.pictures import PictureSet, read_pictures, with_damage
from qcface_export.proof import Limit, ProofPictures, ProofReport, prove, read_limits
from qcface_export.shippable_pictures import shippable_pictures
from qcface_export.tensorrt.request import REFERENCE_RUNTIME, Request, artifact_id, read_given
from qcface_sdk.engine import FaceEngine
from qcface_sdk.runtime import available_backends
from qcface_sdk.runtime.trt_build import build_engine

QUANTISED = ("int8", "fp8")
TWIN = "int8-fp32"
_CALIBRATION_PICTURES = 400
_SEARCH_PICTURES = 48
_MOST_IN_FLOAT = 16
_LAYERS = ("Conv", "Gemm", "MatMul")
_WITHOUT_PEOPLE = ("cosine", "norm", "ladder", "magnitude_spread")


@dataclass(frozen=True, slots=True)
class TypedFiles:
    """What was made on the CPU."""

    files: Mapping[str, bytes]
    """Precision to ONNX file; ``int8-fp32`` among them if ``int8`` is."""
    table: CalibrationTable | None
    """What activations were scaled by; None if nothing was calibrated here."""
    in_float: tuple[str, ...]
    """Layers that were kept in float here."""
    report: ProofReport | None
    """Proof of the INT8 twin on the CPU, passed or not; None if INT8 was not asked for."""
    as_shipped: bool
    """Whether the bundle said which layers and ranges to take, so that it need not be said again on the target."""


def make_typed_files(request: Request) -> TypedFiles:
    """Emit the typed files of a request and prove the INT8 one on the CPU.

    The INT8 file of the bundle is taken where it holds one and nothing about quantisation was asked for: it was
    calibrated and proved with far more pictures than may be shipped.

    Raises
    ------
    ExportError, CalibrationError
        If something that was given cannot be used.
    """
    twin = None if request.quantises_anew else _shipped_twin(request)
    floats = {name: _emit(request, None, name, ()) for name in request.precisions if name not in QUANTISED}
    if not any(name in QUANTISED for name in request.precisions):
        return TypedFiles(floats, None, (), as_shipped=True, report=None)
    if twin is not None and "fp8" not in request.precisions:
        request.say("taking the INT8 file of the bundle")
        files = {"int8": with_half_floats(twin, "fp16"), TWIN: twin, **floats}
        return TypedFiles(files, None, (), as_shipped=True, report=_prove_twin(request, twin))
    table = _table(request)
    chosen = _shipped_choice(request, table)
    in_float, report = request.excluded or (_shipped_in_float(request) if chosen is None else chosen), None
    if "int8" in request.precisions:
        report = _prove_twin(request, _emit(request, table, TWIN, in_float))
        if not report.passed and request.search:
            request.say(f"INT8 does not keep its limits ({report.failures[0]}); looking for layers to keep in float")
            in_float = _search(request, table, in_float)
            report = _prove_twin(request, _emit(request, table, TWIN, in_float))
    names = [name for name in request.precisions if name in QUANTISED]
    names += [TWIN] if "int8" in names else []
    files = {name: _emit(request, table, name, in_float) for name in names}
    as_shipped = not request.quantises_anew and in_float == chosen
    return TypedFiles({**files, **floats}, table, in_float, as_shipped=as_shipped, report=report)


def proof_pictures(request: Request) -> ProofPictures:
    """Return what to prove on: the labelled set that was given, or the portraits that may be shipped."""
    if request.pairs is not None:
        from qcface_train.evaluation.lfw import read_lfw

        faces = read_lfw(request.pairs)
        return ProofPictures(request.pairs.stem, faces.crops, faces.subjects)
    crops = _shippable(request).crops
    return ProofPictures("two portraits in the public domain, varied", crops, None, len(crops))


def proof_limits(request: Request) -> Mapping[str, Limit]:
    """Return the limits of the figures that the pictures can bear.

    The order of magnitudes means something across many people; two portraits all have nearly the same.
    """
    limits = read_limits(request.limits)
    if request.pairs is not None:
        return limits
    return {name: limit for name, limit in limits.items() if name.startswith(_WITHOUT_PEOPLE)}


def _shipped_int8(request: Request) -> bytes | None:
    """Return the bundle's INT8 file for OpenVINO, if its proof was passed: it has TensorRT's placement."""
    artifacts = [a for a in request.bundle.manifest.artifacts if a.precision == "int8" and "openvino" in a.runtimes]
    proved = {(proof.artifact, proof.runtime) for proof in request.bundle.manifest.proofs if proof.passed}
    return next((request.bundle.read(a.file) for a in artifacts if (a.id, "openvino") in proved), None)


def _shipped_twin(request: Request) -> bytes | None:
    """Return the bundle's INT8 file if TensorRT can be given it: signed, with zero points of 0."""
    shipped = _shipped_int8(request)
    if shipped is None:
        return None
    graph = onnx.load_from_string(shipped).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    zeros = [constants[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
    return shipped if all(zero.dtype == np.int8 and not zero.any() for zero in zeros) else None


def _shipped_in_float(request: Request) -> tuple[str, ...]:
    """Return the layers that the bundle's INT8 file keeps in float; they were found with far more pictures."""
    shipped = _shipped_int8(request)
    if shipped is None:
        return ()
    nodes = onnx.load_from_string(shipped).graph.node
    integers = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    layers = {node.name for node in onnx.load_from_string(request.master).graph.node if node.op_type in _LAYERS}
    return tuple(node.name for node in nodes if node.name in layers and node.input[1] not in integers)


def parse_with_rtx(files: Mapping[str, bytes], request: Request) -> list[str]:
    """Build every file with TensorRT-RTX, which needs no GPU, and say what came of it; empty if it is not installed.

    It shares TensorRT's parser, so a file it refuses would be refused on the target too.

    Raises
    ------
    ModelFormatError
        If a file is refused.
    """
    try:
        import tensorrt_rtx
    except ImportError:
        return []
    lines = []
    for precision, model in files.items():
        options = replace(request.options, precision=precision.split("-")[0], dla_core=None, strip=False, refit=False)
        plan = build_engine(tensorrt_rtx, model, replace(options, version_compatible=False)).plan
        lines.append(
            f"TensorRT-RTX {tensorrt_rtx.__version__} parsed and built {precision}: {len(model):,} bytes of ONNX, "
            f"{len(plan):,} bytes of engine"
        )
    return lines


def cpu_runtime() -> str:
    """Return the backend that runs the INT8 twin here: OpenVINO where it is installed, which is faster by far."""
    names = {info.name for info in available_backends() if info.available}
    return "openvino" if "openvino" in names else REFERENCE_RUNTIME


def _table(request: Request) -> CalibrationTable:
    """Return what activations are scaled by.

    Raises
    ------
    CalibrationError
        If it cannot be used, or does not hold what `Request.percentile` asks for.
    """
    table = _given_or_shipped_table(request)
    if request.percentile != DEFAULT_PERCENTILE and table.is_searched:
        raise CalibrationError(
            f"--percentile {request.percentile:g} would change nothing: the ranges of this table were searched and are "
            "the same at every percentile; leave it out, or calibrate anew: --calibration FOLDER"
        )
    return table


def _given_or_shipped_table(request: Request) -> CalibrationTable:
    if request.table is not None:
        table = CalibrationTable.from_json(read_given(request.table, "calibration table"))
        table.check_model(request.master)
        return table
    if request.calibration:
        given = read_pictures(request.calibration, _CALIBRATION_PICTURES)
        check_faces(given)
        return calibrate(request.master, with_damage(given))
    shipped = _shipped_table(request)
    if shipped is not None:
        request.say("using the calibration table in the bundle")
        return shipped
    request.say("calibrating on the portraits that may be shipped; --calibration FOLDER takes yours")
    return calibrate(request.master, with_damage(_shippable(request), every=2))


def _shipped_table(request: Request) -> CalibrationTable | None:
    """Return the bundle's table if it is of this model; it was made on many people."""
    data = request.bundle.files.get(TABLE_FILE)
    if data is None:
        return None
    try:
        table = CalibrationTable.from_json(data)
        table.check_model(request.master)
    except CalibrationError as error:
        request.say(f"not using {TABLE_FILE} of the bundle: {error}")
        return None
    return table


def _shipped_choice(request: Request, table: CalibrationTable) -> tuple[str, ...] | None:
    """Return the layers that the bundle's release chose with this table; None if it chose none with it."""
    data = request.bundle.files.get(CHOICE_FILE)
    if data is None:
        return None
    try:
        choice = LayerChoice.from_json(data)
    except CalibrationError as error:
        request.say(f"not using {CHOICE_FILE} of the bundle: {error}")
        return None
    if not choice.fits(table, request.percentile):
        request.say(f"not using {CHOICE_FILE} of the bundle: its layers were chosen for other ranges")
        return None
    request.say(f"keeping the {len(choice.layers)} layers in float that the release chose ({choice.origin})")
    return choice.layers


def _shippable(request: Request) -> PictureSet:
    with FaceEngine(request.bundle.source, backend=REFERENCE_RUNTIME, precision="fp32") as engine:
        return shippable_pictures(engine)


def _emit(request: Request, table: CalibrationTable | None, precision: str, in_float: Sequence[str]) -> bytes:
    return emit_trt(request.master, table, precision, percentile=request.percentile, nodes_in_float=in_float)


def _embed(request: Request, model: bytes, runtime: str, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    embedder = FileEmbedder(model, runtime, preprocessing=request.bundle.manifest.input)
    try:
        return embedder(crops)
    finally:
        embedder.close()


def _prove_twin(request: Request, twin: bytes) -> ProofReport:
    runtime = cpu_runtime()
    preparation: dict[str, Any] = {"preprocessing": request.bundle.manifest.input}
    reference = FileEmbedder(request.master, REFERENCE_RUNTIME, **preparation)
    candidate = FileEmbedder(twin, runtime, **preparation)
    try:
        return prove(
            reference,
            candidate,
            proof_pictures(request),
            proof_limits(request),
            artifact=artifact_id(TWIN),
            runtime=runtime,
            reference_name=f"{request.reference.id} on {REFERENCE_RUNTIME}",
        )
    finally:
        reference.close()
        candidate.close()


def _search(request: Request, table: CalibrationTable, given: tuple[str, ...]) -> tuple[str, ...]:
    """Look for layers to keep in float beside the given ones; return those alone if none suffice."""
    last = last_layers(request.master, table)
    start = (*last, *(name for name in given if name not in last))
    most = max(_MOST_IN_FLOAT - (len(start) - len(last)), 0)
    crops = proof_pictures(request).crops
    crops = crops[:: max(1, len(crops) // _SEARCH_PICTURES)]
    reference = _embed(request, request.master, REFERENCE_RUNTIME, crops)

    def run(in_float: Sequence[str]) -> NDArray[np.float32]:
        return _embed(request, _emit(request, table, TWIN, in_float), cpu_runtime(), crops)

    try:
        found = search_layers(request.master, table, reference, run, proof_limits(request), start=start, most=most)
    except GateError as error:
        request.say(str(error))
        return given
    for line in found.lines():
        request.say(line)
    return found.layers
