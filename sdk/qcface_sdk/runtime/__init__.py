"""Inference backends behind one `Runner`; none is imported before it is used.

====================  ===============================================================================================
backend               what it is
====================  ===============================================================================================
tensorrt              NVIDIA GPU, engine built for it (``export/build_trt.py``)
onnxruntime-cuda      NVIDIA GPU through ONNX Runtime's CUDA execution provider
onnxruntime-tensorrt  NVIDIA GPU through ONNX Runtime's TensorRT execution provider, which builds at load
onnxruntime           CPU; every installation has it, and with it the shipped thresholds were measured
openvino              CPU, when asked for by name
====================  ===============================================================================================

`qcface_sdk.selection` chooses among them for a bundle. Whether there is a GPU is asked of the driver, and only where
the package for it is installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.runtime.base import Runner, TensorSpec
from qcface_sdk.runtime.cuda_device import find_cuda_device

__all__ = [
    "CPU_BACKENDS",
    "GPU_BACKENDS",
    "BackendInfo",
    "ModelHints",
    "Runner",
    "TensorSpec",
    "available_backends",
    "check_backend",
    "open_runner",
    "resolve_backend",
]

GPU_BACKENDS = ("tensorrt", "onnxruntime-cuda", "onnxruntime-tensorrt")
"""Backends that need an NVIDIA GPU, best first."""

CPU_BACKENDS = ("onnxruntime", "openvino")
"""Backends that run anywhere, in the order in which ``auto`` takes them."""


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Whether a backend can be used here."""

    name: str
    """Name to pass as `backend`."""
    available: bool
    """Whether its package, and the GPU it needs, are there; importing it may still fail."""
    version: str | None
    """Version of its package; None if not installed or unknown."""
    reason: str
    """Why it is not available and what to do; empty if it is."""


@dataclass(frozen=True, slots=True)
class ModelHints:
    """What a backend that builds engines wants to know of a model beside its bytes."""

    precision: str = "fp32"
    """Precision of the file."""
    contract: str = ""
    """Embedding contract id of a recogniser."""
    batch: int = 16
    """Most rows of one run."""
    build: bool = True
    """Whether an engine may be built now, which takes minutes."""


@dataclass(frozen=True, slots=True)
class _Backend:
    module: str
    distributions: tuple[str, ...]
    install: str
    open: Callable[[bytes, int, ModelHints], Runner]
    library: str = ""


def _open_ort(model: bytes, threads: int, hints: ModelHints) -> Runner:
    from qcface_sdk.runtime.ort import OrtRunner

    return OrtRunner(model, threads=threads)


def _open_ort_cuda(model: bytes, threads: int, hints: ModelHints) -> Runner:
    from qcface_sdk.runtime.ort_gpu import OrtCudaRunner

    return OrtCudaRunner(model, threads=threads)


def _open_ort_tensorrt(model: bytes, threads: int, hints: ModelHints) -> Runner:
    from qcface_sdk.runtime.ort_gpu import OrtTensorRtRunner

    return OrtTensorRtRunner(model, threads=threads)


def _open_ov(model: bytes, threads: int, hints: ModelHints) -> Runner:
    from qcface_sdk.runtime.ov import OvRunner

    return OvRunner(model, threads=threads)


def _open_trt(model: bytes, threads: int, hints: ModelHints) -> Runner:
    from qcface_sdk.runtime.trt_build import BuildOptions, ShapeRange
    from qcface_sdk.runtime.trt_open import open_trt

    options = BuildOptions(hints.precision, batch=ShapeRange(1, 1, hints.batch))
    return open_trt(model, options, contract=hints.contract, build=hints.build)


_BACKENDS = {
    "tensorrt": _Backend(
        "tensorrt", ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"), '"qcface-sdk[tensorrt]"', _open_trt
    ),
    "onnxruntime-cuda": _Backend(
        "onnxruntime", ("onnxruntime-gpu",), "onnxruntime-gpu", _open_ort_cuda, "onnxruntime_providers_cuda"
    ),
    "onnxruntime-tensorrt": _Backend(
        "onnxruntime", ("onnxruntime-gpu",), "onnxruntime-gpu", _open_ort_tensorrt, "onnxruntime_providers_tensorrt"
    ),
    "onnxruntime": _Backend(
        "onnxruntime", ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"), "onnxruntime", _open_ort
    ),
    "openvino": _Backend("openvino", ("openvino",), '"qcface-sdk[openvino]"', _open_ov),
}


def available_backends() -> tuple[BackendInfo, ...]:
    """Return every known backend, best first, without importing any."""
    return tuple(_info(name) for name in _BACKENDS)


def resolve_backend(backend: str) -> str:
    """Return the backend's name, with ``auto`` replaced by the first installed one for the CPU.

    Raises
    ------
    DeviceUnavailableError
        If it needs a GPU and there is none.
    BackendUnavailableError
        If the name is unknown or the package is not installed; the message says what to install.
    """
    if backend == "auto":
        infos = [_info(name) for name in CPU_BACKENDS]
        found = next((info for info in infos if info.available), infos[0])
        backend = found.name
    check_backend(backend)
    return backend


def check_backend(name: str) -> None:
    """Raise `BackendUnavailableError`, or `DeviceUnavailableError`, unless the backend can be used here."""
    if name not in _BACKENDS:
        raise BackendUnavailableError(f"backend must be auto or one of {', '.join(_BACKENDS)}, got {name!r}")
    backend = _BACKENDS[name]
    missing = f"backend {name} is not installed; install it with: pip install {backend.install}"
    spec = importlib.util.find_spec(backend.module)
    if spec is None:
        raise BackendUnavailableError(missing)
    if backend.library and not _has_library(spec.origin, backend.library):
        raise BackendUnavailableError(f"this {backend.module} is built without GPU support; {missing}")
    if name in GPU_BACKENDS:
        find_cuda_device()


def open_runner(model: bytes, backend: str = "auto", threads: int = 1, hints: ModelHints | None = None) -> Runner:
    """Load a model into a backend.

    Parameters
    ----------
    model : bytes
        The ONNX file.
    backend : str, default "auto"
        ``auto`` (the CPU) or a name out of `available_backends`.
    threads : int, default 1
        Threads within one run.
    hints : ModelHints, optional
        For backends that build engines.

    Raises
    ------
    BackendUnavailableError
        If the backend is unknown or not installed, or (`DeviceUnavailableError`) there is no GPU for it.
    ModelFormatError
        If `model` is not an ONNX file the backend can load.
    OptionError
        If `threads` is not a whole number of at least 1.
    """
    return _BACKENDS[resolve_backend(backend)].open(model, threads, hints or ModelHints())


def _info(name: str) -> BackendInfo:
    try:
        check_backend(name)
    except BackendUnavailableError as error:
        return BackendInfo(name, False, None, str(error))
    return BackendInfo(name, True, _version(_BACKENDS[name].distributions), "")


def _has_library(origin: str | None, library: str) -> bool:
    """Return whether a build of ONNX Runtime carries a provider, by its file: importing would take a second."""
    folder = Path(origin or "").parent / "capi"
    return any(folder.glob(f"*{library}.*"))


def _version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
