"""Inference backends behind one `Runner`; none is imported before it is used.

``auto`` is ONNX Runtime, which every installation has and with which the shipped thresholds were measured. OpenVINO is
used when asked for by name. Further backends get a line in `_BACKENDS` and a module of their own.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.runtime.base import Runner, TensorSpec

__all__ = ["BackendInfo", "Runner", "TensorSpec", "available_backends", "open_runner", "resolve_backend"]


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Whether a backend can be used here."""

    name: str
    """Name to pass as `backend`."""
    available: bool
    """Whether its package is installed; importing it may still fail."""
    version: str | None
    """Version of its package; None if not installed or unknown."""
    reason: str
    """Why it is not available and what to do; empty if it is."""


@dataclass(frozen=True, slots=True)
class _Backend:
    module: str
    distributions: tuple[str, ...]
    install: str
    open: Callable[[bytes, int], Runner]


def _open_ort(model: bytes, threads: int) -> Runner:
    from qcface_sdk.runtime.ort import OrtRunner

    return OrtRunner(model, threads=threads)


def _open_ov(model: bytes, threads: int) -> Runner:
    from qcface_sdk.runtime.ov import OvRunner

    return OvRunner(model, threads=threads)


# In the order that "auto" tries them.
_BACKENDS = {
    "onnxruntime": _Backend(
        "onnxruntime", ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino"), "onnxruntime", _open_ort
    ),
    "openvino": _Backend("openvino", ("openvino",), '"qcface-sdk[openvino]"', _open_ov),
}


def available_backends() -> tuple[BackendInfo, ...]:
    """Return every known backend, in the order in which ``auto`` takes them, without importing any."""
    return tuple(_info(name) for name in _BACKENDS)


def resolve_backend(backend: str) -> str:
    """Return the backend's name, with ``auto`` replaced by the first installed one.

    Raises
    ------
    BackendUnavailableError
        If the name is unknown or the package is not installed; the message says what to install.
    """
    if backend == "auto":
        infos = available_backends()
        found = next((info for info in infos if info.available), infos[0])
    elif backend in _BACKENDS:
        found = _info(backend)
    else:
        raise BackendUnavailableError(f"backend must be auto or one of {', '.join(_BACKENDS)}, got {backend!r}")
    if not found.available:
        raise BackendUnavailableError(found.reason)
    return found.name


def open_runner(model: bytes, backend: str = "auto", threads: int = 1) -> Runner:
    """Load a model into a backend.

    Parameters
    ----------
    model : bytes
        The ONNX file.
    backend : str, default "auto"
        ``auto`` or a name out of `available_backends`.
    threads : int, default 1
        Threads within one run.

    Raises
    ------
    BackendUnavailableError
        If the backend is unknown or not installed.
    ModelFormatError
        If `model` is not an ONNX file the backend can load.
    OptionError
        If `threads` is not a whole number of at least 1.
    """
    return _BACKENDS[resolve_backend(backend)].open(model, threads)


def _info(name: str) -> BackendInfo:
    backend = _BACKENDS[name]
    if importlib.util.find_spec(backend.module) is None:
        reason = f"backend {name} is not installed; install it with: pip install {backend.install}"
        return BackendInfo(name, False, None, reason)
    return BackendInfo(name, True, _version(backend.distributions), "")


def _version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
