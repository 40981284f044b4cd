"""Build the engines of a request on the GPU, time them, and prove each against the FP32 file."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from qcface_export.calibration import network_input
from qcface_export.embedders import FileEmbedder
from qcface_export.errors import ExportError, GateError
from qcface_export.files import write_whole
from qcface_export.proof import ProofPictures, ProofReport, prove
from qcface_export.tensorrt.request import REFERENCE_RUNTIME, Request, artifact_id
from qcface_export.tensorrt.typed_files import QUANTISED, TWIN, TypedFiles, proof_limits
from qcface_sdk.runtime.base import Runner
from qcface_sdk.runtime.engine_info import EngineInfo
from qcface_sdk.runtime.trt import TrtRunner
from qcface_sdk.runtime.trt_build import BuildOptions, build_engine, is_strongly_typed, layer_precisions
from qcface_sdk.runtime.trt_open import TrtEnvironment, describe
from qcface_sdk.strict_json import dump_object

_WARM_RUNS, _RUNS = 20, 200


class SlowerError(GateError):
    """A quantised engine that is slower than the FP16 one it is meant to beat."""


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """An engine with everything that is known of it."""

    precision: str
    """Precision."""
    model: bytes
    """ONNX file it was built from."""
    plan: bytes
    """The engine."""
    info: EngineInfo
    """Its sidecar."""
    options: BuildOptions
    """What it was built with."""
    report: ProofReport
    """Its proof, passed or not."""
    embeddings: NDArray[np.float32]
    """What it gives for the proof's pictures."""


def build_on_gpu(
    request: Request, made: TypedFiles, pictures: ProofPictures, here: TrtEnvironment
) -> dict[str, BuiltFile]:
    """Build and measure the engine of every precision asked for.

    Raises
    ------
    ExportError, ModelFormatError
        If TensorRT refuses a file, or the timing cache cannot be used.
    """
    cache = _read_cache(request)
    built: dict[str, BuiltFile] = {}
    for precision in request.precisions:
        source = TWIN if precision == "int8" and not is_strongly_typed(here.tensorrt) else precision
        options = replace(request.options, precision=precision)
        request.say(f"building {precision} for {here.target.gpu} with TensorRT {here.target.tensorrt}")
        engine = build_engine(here.tensorrt, made.files[source], options, cache)
        cache = engine.timing_cache
        for note in engine.notes:
            request.say(note)
        info = describe(engine, made.files[source], options, here.target, contract=request.bundle.contract)
        weights = made.files[source] if options.strip else None
        with TrtRunner(engine.plan, tensorrt=here.tensorrt, memory=here.memory, weights=weights) as runner:
            built[precision] = _measured(request, made, pictures, runner, info, engine.plan, options)
        request.say(f"{precision}: {built[precision].info.latency_ms[precision]:.3f} ms for one face, median")
    if request.timing_cache is not None and cache:
        write_whole(request.timing_cache, cache)
    return _with_latencies(built)


def check_built(request: Request, built: Mapping[str, BuiltFile]) -> None:
    """Refuse engines that must not be used.

    Raises
    ------
    GateError
        If one fails its proof.
    SlowerError
        If a quantised one is slower than FP16 and that was not allowed.
    """
    for file in built.values():
        file.report.check()
    fp16 = built.get("fp16")
    for precision in QUANTISED:
        if precision in built and fp16 is not None and not request.allow_slower:
            ours, theirs = built[precision].info.latency_ms[precision], fp16.info.latency_ms["fp16"]
            if ours > theirs:
                raise SlowerError(
                    f"{precision} must not be slower than FP16, got {ours:.3f} ms and {theirs:.3f} ms; use the FP16 "
                    "engine (--fp16), keep other layers in float (--exclude-nodes), or insist (--allow-slower)"
                )


def _measured(
    request: Request,
    made: TypedFiles,
    pictures: ProofPictures,
    runner: TrtRunner,
    info: EngineInfo,
    plan: bytes,
    options: BuildOptions,
) -> BuiltFile:
    preprocessing = request.bundle.manifest.input

    def embed(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        feed = {runner.inputs[0].name: network_input(crops, preprocessing)}
        return np.asarray(runner.infer(feed)[runner.outputs[0].name], np.float32)

    reference = FileEmbedder(request.master, REFERENCE_RUNTIME, preprocessing=preprocessing)
    try:
        report = prove(
            reference,
            embed,
            pictures,
            proof_limits(request),
            artifact=artifact_id(options.precision),
            runtime="tensorrt",
            reference_name=f"{request.reference.id} on {REFERENCE_RUNTIME}",
        )
    finally:
        reference.close()
    embeddings = embed(pictures.crops)
    quantised = options.precision in QUANTISED and made.table is not None
    info = replace(
        info,
        calibration_sha256=made.table.sha256 if quantised and made.table is not None else "",
        preprocessing=MappingProxyType(
            {
                "sha256": hashlib.sha256(dump_object(preprocessing)).hexdigest(),
                "color": preprocessing.color,
                "template": preprocessing.template,
            }
        ),
        norm_statistics=_norm_statistics(embeddings, pictures),
        layer_precisions=layer_precisions(runner.inspection()),
        latency_ms=MappingProxyType({options.precision: latency_ms(runner)}),
    )
    return BuiltFile(options.precision, _source(made, info), plan, info, options, report, embeddings)


def _source(made: TypedFiles, info: EngineInfo) -> bytes:
    """Return the file an engine was built from: the twin, where TensorRT is not strongly typed."""
    return next(data for data in made.files.values() if hashlib.sha256(data).hexdigest() == info.model_sha256)


def latency_ms(runner: Runner) -> float:
    """Return the median time of one face, in and out of the GPU, in milliseconds."""
    spec = runner.inputs[0]
    feed = {spec.name: np.zeros([1 if size is None else size for size in spec.shape], spec.dtype)}
    times = []
    for turn in range(_WARM_RUNS + _RUNS):
        start = time.perf_counter()
        runner.infer(feed)
        if turn >= _WARM_RUNS:
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def _norm_statistics(embeddings: NDArray[np.float32], pictures: ProofPictures) -> Mapping[str, float]:
    norms = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    return MappingProxyType(
        {
            "pictures": float(len(pictures.crops)),
            "mean": float(norms.mean()),
            "std": float(norms.std()),
            "min": float(norms.min()),
            "max": float(norms.max()),
        }
    )


def _with_latencies(built: Mapping[str, BuiltFile]) -> dict[str, BuiltFile]:
    """Note every engine's time in every sidecar: INT8 without FP16 beside it says nothing."""
    times = {name: ms for file in built.values() for name, ms in file.info.latency_ms.items()}
    latency = MappingProxyType(times)
    return {name: replace(file, info=replace(file.info, latency_ms=latency)) for name, file in built.items()}


def _read_cache(request: Request) -> bytes:
    if request.timing_cache is None or not request.timing_cache.exists():
        return b""
    try:
        return request.timing_cache.read_bytes()
    except OSError as error:
        raise ExportError(f"timing cache {request.timing_cache} cannot be read ({error.strerror})") from error
