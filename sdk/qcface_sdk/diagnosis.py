"""Run the models on every backend present and say what happened; the engine behind `qcface doctor`."""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.bundle import Bundle
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import QCFaceError
from qcface_sdk.geometry import CROP_SIDE, REFERENCE_POINTS
from qcface_sdk.runtime import CPU_BACKENDS, GPU_BACKENDS, BackendInfo, available_backends
from qcface_sdk.selection import measured_speeds, trusted_artifacts

_CROPS = 8
_REPEATS = 9
_SEED = 20251017


@dataclass(frozen=True, slots=True)
class BackendCheck:
    """What one backend did."""

    name: str
    """Backend name."""

    version: str | None
    """Version of its package, ``None`` if it is not installed."""

    ran: bool
    """Whether both networks ran and gave finite numbers."""

    embed_ms: float | None = None
    """Median time to embed one face, in milliseconds."""

    detect_ms: float | None = None
    """Median time to search one 640 x 480 picture, in milliseconds."""

    cosine: float | None = None
    """Lowest cosine between its embeddings and those of the first backend that ran."""

    problem: str = ""
    """Why it did not run, and what to do."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class FileSpeed:
    """How fast one file of the recogniser is here, among those that ``precision="auto"`` chooses from."""

    backend: str
    """Backend."""

    artifact: str
    """Id of the file."""

    precision: str
    """Its precision."""

    ms: float
    """Least time of one face, network alone, in milliseconds."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` found."""

    processor: str
    """Architecture and number of processors that may be used."""

    simd: str
    """Instruction set that the native kernels use."""

    model: str
    """Name, version and contract of the bundle, or why it cannot be used."""

    backends: tuple[BackendCheck, ...]
    """One per known backend."""

    speeds: tuple[FileSpeed, ...]
    """Measured anew, and remembered for ``precision="auto"``."""

    ok: bool
    """Whether the default path from picture to embedding works."""

    default_backend: str
    """Backend and precision of the default path."""

    problem: str
    """Why the default path does not work; empty if it does."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "processor": self.processor,
            "simd": self.simd,
            "model": self.model,
            "backends": [backend.to_dict() for backend in self.backends],
            "speeds": [speed.to_dict() for speed in self.speeds],
            "default_path": {"ok": self.ok, "engine": self.default_backend, "problem": self.problem},
        }


def diagnose(model: str | os.PathLike[str] | None = None, *, threads: int = 1) -> Diagnosis:
    """Run both networks of a bundle on every backend present, and the default path.

    Never raises a `QCFaceError`: what fails is part of the result.

    Parameters
    ----------
    model : str, path or None
        Bundle; ``None`` is the one in the package.
    threads : int, default 1
        Threads per network run.
    """
    crops, picture = _test_crops(), _test_picture()
    checks: list[BackendCheck] = []
    reference: NDArray[np.float32] | None = None
    # The CPU first: the other backends are compared with it.
    for info in sorted(available_backends(), key=lambda info: info.name in GPU_BACKENDS):
        check, embeddings = _check_backend(info, model, threads, crops, picture, reference)
        checks.append(check)
        reference = embeddings if reference is None else reference
    speeds = _file_speeds(model, [check.name for check in checks if check.ran], threads)
    description, engine_name, problem = _check_default_path(model, threads, picture)
    return Diagnosis(
        processor=f"{platform.machine()}, {len(_usable_processors())} usable",
        simd=_simd(),
        model=description,
        backends=tuple(checks),
        speeds=speeds,
        ok=not problem,
        default_backend=engine_name,
        problem=problem,
    )


def _check_backend(
    info: BackendInfo,
    model: str | os.PathLike[str] | None,
    threads: int,
    crops: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    reference: NDArray[np.float32] | None,
) -> tuple[BackendCheck, NDArray[np.float32] | None]:
    if not info.available:
        return BackendCheck(info.name, None, False, problem=info.reason), None
    try:
        with FaceEngine(model=model, backend=info.name, threads=threads) as engine:
            embeddings = engine.embed(crops)
            embed_ms = _median_ms(lambda: engine.embed(crops[:1]))
            detect_ms = _median_ms(lambda: engine.detect(picture))
    except QCFaceError as error:
        return BackendCheck(info.name, info.version, False, problem=str(error)), None
    agreement = None if reference is None else _lowest_cosine(embeddings, reference)
    return BackendCheck(info.name, info.version, True, embed_ms, detect_ms, agreement), embeddings


def _file_speeds(model: str | os.PathLike[str] | None, backends: list[str], threads: int) -> tuple[FileSpeed, ...]:
    """Measure the files of every CPU backend that has a choice."""
    found: list[FileSpeed] = []
    with contextlib.suppress(QCFaceError):  # a bundle or backend at fault is reported elsewhere
        bundle = Bundle.load(model)
        precisions = {artifact.id: artifact.precision for artifact in bundle.manifest.artifacts}
        for backend in backends:
            if backend in CPU_BACKENDS and len(trusted_artifacts(bundle, backend)) > 1:
                speeds = measured_speeds(bundle, backend, threads, again=True)
                found += [FileSpeed(backend, name, precisions[name], ms) for name, ms in speeds.items()]
    return tuple(found)


def _check_default_path(
    model: str | os.PathLike[str] | None, threads: int, picture: NDArray[np.uint8]
) -> tuple[str, str, str]:
    """Return what the model is, what runs it, and what is wrong, if anything."""
    try:
        with FaceEngine(model=model, threads=threads) as engine:
            manifest = engine.bundle.manifest
            engine.get(picture)
            engine.embed(engine.align(picture, REFERENCE_POINTS * 2.0))
            description = f"{manifest.name} {manifest.version}, contract {engine.contract}"
            return description, f"{engine.backend} {engine.precision}", ""
    except QCFaceError as error:
        return "unusable", "none", str(error)


def _median_ms(call: Callable[[], object]) -> float:
    call()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def _lowest_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    x, y = a.astype(np.float64), b.astype(np.float64)
    products = (x * y).sum(axis=1) / (np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1))
    return float(products.min())


def _smooth_noise(rng: np.random.Generator, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    coarse = rng.integers(0, 256, (size_wh[1] // 16, size_wh[0] // 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


def _test_crops() -> NDArray[np.uint8]:
    rng = np.random.default_rng(_SEED)
    return np.stack([_smooth_noise(rng, (CROP_SIDE, CROP_SIDE)) for _ in range(_CROPS)])


def _test_picture() -> NDArray[np.uint8]:
    return _smooth_noise(np.random.default_rng(_SEED), (640, 480))


def _usable_processors() -> range | set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)


def _simd() -> str:
    try:
        from qcface_sdk._native import match
    except ImportError as error:
        return f"not loaded: {error}"
    return match.simd()
