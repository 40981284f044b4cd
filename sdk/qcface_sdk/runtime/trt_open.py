"""From an ONNX file to a TensorRT engine that runs: out of the store if it fits, else built here and stored.

An engine of another TensorRT, GPU, precision or shape has another key and is not even looked at. One that is damaged
is built again. `build` off turns the building off, for callers that must not wait minutes.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from qcface_sdk.errors import BackendUnavailableError, ModelError, ModelNotFoundError
from qcface_sdk.runtime.base import check_model_bytes
from qcface_sdk.runtime.cuda_device import find_cuda_device
from qcface_sdk.runtime.device_memory import DeviceMemory, open_device_memory
from qcface_sdk.runtime.engine_info import SCHEMA, EngineInfo, Target, this_platform
from qcface_sdk.runtime.engine_store import EngineKey, EngineStore, read_engine
from qcface_sdk.runtime.trt import TrtRunner
from qcface_sdk.runtime.trt_build import BuildOptions, BuiltEngine, build_engine, layer_precisions

_LOG = logging.getLogger("qcface_sdk")


@dataclass(frozen=True, slots=True)
class TrtEnvironment:
    """TensorRT on this machine."""

    tensorrt: Any
    """The module."""
    memory: DeviceMemory
    """The GPU's memory."""
    target: Target
    """What engines are built for here."""


def trt_environment() -> TrtEnvironment:
    """Return what TensorRT needs, having asked the driver first.

    Raises
    ------
    DeviceUnavailableError
        If there is no driver or no GPU.
    BackendUnavailableError
        If a package is missing.
    """
    device = find_cuda_device()
    try:
        import tensorrt
    except ImportError as error:
        raise BackendUnavailableError(
            f'backend tensorrt cannot be imported ({error}); install it with: pip install "qcface-sdk[tensorrt]" (on a '
            "Jetson it comes with JetPack)"
        ) from error
    memory = open_device_memory()
    target = Target(str(tensorrt.__version__), memory.version, device.driver, device.name, device.sm, this_platform())
    return TrtEnvironment(tensorrt, memory, target)


def engine_key(model: bytes, options: BuildOptions, target: Target) -> EngineKey:
    """Return the key of the engine of a model on a machine."""
    notes = tuple(f"{name}={value}" for name, value in sorted(options.notes().items()))
    digest = hashlib.sha256(model).hexdigest()
    return EngineKey(digest, target.tensorrt, target.sm, options.precision, options.shapes(), notes)


def open_trt(
    model: bytes,
    options: BuildOptions | None = None,
    *,
    contract: str = "",
    build: bool = True,
    store: EngineStore | None = None,
    environment: TrtEnvironment | None = None,
) -> TrtRunner:
    """Return a runner for an ONNX file.

    Parameters
    ----------
    model : bytes
        Typed ONNX file, already verified.
    options : BuildOptions, optional
        Precision and shapes.
    contract : str
        Embedding contract id of a recogniser.
    build : bool, default True
        Build the engine if the store holds none that fits.
    store : EngineStore, optional
        Where engines are kept; default is the user's cache.
    environment : TrtEnvironment, optional
        Default is `trt_environment()`.

    Raises
    ------
    ModelNotFoundError
        If there is no engine and `build` is off.
    ModelFormatError
        If TensorRT cannot build the model.
    DeviceUnavailableError, BackendUnavailableError
        See `trt_environment`.
    """
    check_model_bytes(model)
    here = environment or trt_environment()
    chosen = options or BuildOptions()
    shelf = store or EngineStore()
    key = engine_key(model, chosen, here.target)
    stored = _stored(shelf, key, contract, here)
    if stored is not None:
        plan, info = stored
        return _runner(plan, model, info.options, here)
    if not build:
        raise ModelNotFoundError(
            f"there is no {chosen.precision} engine for this model on {here.target.gpu} with TensorRT "
            f"{here.target.tensorrt}; build it with export/build_trt.py"
        )
    _LOG.warning("building a TensorRT engine for %s; this takes minutes, once", here.target.gpu)
    built = build_engine(here.tensorrt, model, chosen)
    runner = _runner(built.plan, model, chosen.notes(), here)
    info = describe(built, model, chosen, here.target, contract=contract)
    info = replace(info, layer_precisions=layer_precisions(runner.inspection()))
    try:
        shelf.save(key, built.plan, info)
    except ModelError as error:
        _LOG.warning("the engine cannot be kept and will be built again next time: %s", error)
    return runner


def describe(built: BuiltEngine, model: bytes, options: BuildOptions, target: Target, *, contract: str) -> EngineInfo:
    """Return the sidecar of a fresh engine; what was measured of it is added by whoever measures."""
    nothing: MappingProxyType[str, Any] = MappingProxyType({})
    return EngineInfo(
        schema=SCHEMA,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        engine_sha256=hashlib.sha256(built.plan).hexdigest(),
        engine_bytes=len(built.plan),
        model_sha256=hashlib.sha256(model).hexdigest(),
        contract=contract,
        calibration_sha256="",
        precision=options.precision,
        target=target,
        profiles=built.profiles,
        options=MappingProxyType(options.notes()),
        preprocessing=nothing,
        norm_statistics=nothing,
        layer_precisions=nothing,
        latency_ms=nothing,
    )


def _stored(store: EngineStore, key: EngineKey, contract: str, here: TrtEnvironment) -> tuple[bytes, EngineInfo] | None:
    """Return the engine of this key, else one with other shapes: more rows are run in parts, fewer are padded."""
    for place in (*((store.path(key),) if store.holds(key) else ()), *store.others(key)):
        try:
            plan, info = read_engine(place)
            info.check_model(key.model_sha256, contract, str(place))
            info.check_target(here.target, str(place))
        except ModelError as error:
            _LOG.warning("a stored engine is not used: %s", error)
            continue
        return plan, info
    return None


def _runner(plan: bytes, model: bytes, options: Any, here: TrtEnvironment) -> TrtRunner:
    weights = model if "stripped" in options else None
    return TrtRunner(plan, tensorrt=here.tensorrt, memory=here.memory, weights=weights)
