"""Which backend and which file of a bundle run here, and whose thresholds count then.

``backend="auto"`` tries, in this order, what is installed and what the bundle offers:

1. ``tensorrt``, if there is a GPU and an engine for it has been built (``export/build_trt.py``); none is built unasked
2. ``onnxruntime-cuda``
3. ``onnxruntime``
4. ``openvino``

``backend="gpu"`` is 1, 2 or ``onnxruntime-tensorrt``, else a loud warning and the CPU. A name is that backend or an
error. ``precision="auto"`` is the fastest of the files whose proof was passed, measured here at first use.

Thresholds and qualities are those of the file and the backend that run. Where nobody has measured a GPU backend, it may
use those of ONNX Runtime on the CPU for the same file, once it has been seen here to give the same embeddings.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from qcface_sdk.bundle import Bundle
from qcface_sdk.errors import BackendUnavailableError, ModelError, ModelNotFoundError
from qcface_sdk.manifest import Artifact
from qcface_sdk.runtime import (
    CPU_BACKENDS,
    GPU_BACKENDS,
    ModelHints,
    Runner,
    available_backends,
    check_backend,
    open_runner,
)
from qcface_sdk.runtime.agreement import EXACT, ROUNDED, check_agreement
from qcface_sdk.runtime.speed import measure_speed, remember_speed, remembered_speed, speed_key

AUTO_ORDER = ("tensorrt", "onnxruntime-cuda", *CPU_BACKENDS)
"""What ``auto`` tries."""

_REFERENCE = "onnxruntime"
# A file must be this much faster to be taken instead of a more exact one.
_WORTHWHILE = 0.95


class GpuNotUsedWarning(UserWarning):
    """A GPU was asked for, and the CPU is what runs."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What runs."""

    backend: str
    """Backend."""
    artifact: Artifact
    """File of the recogniser."""
    measured_on: str
    """Backend whose thresholds and qualities count: `backend`, or the one it was seen to agree with."""


def open_recognizer(
    bundle: Bundle, backend: str = "auto", precision: str = "auto", *, threads: int = 1, batch: int = 16
) -> tuple[Selection, Runner]:
    """Choose and open a bundle's recogniser; see the module's description.

    Parameters
    ----------
    bundle : Bundle
        Where the files are.
    backend : str
        ``auto``, ``gpu`` or a backend's name.
    precision : str
        ``auto`` or a precision.
    threads : int
        Threads within one run.
    batch : int
        Most rows of one run.

    Raises
    ------
    BackendUnavailableError
        If the backend is unknown or not installed, or (`DeviceUnavailableError`) there is no GPU for it.
    ModelNotFoundError
        If the bundle holds no such file for it.
    EngineMismatchError
        If a GPU gives other embeddings than the CPU.
    """
    if backend not in ("auto", "gpu"):
        check_backend(backend)
        return _open(bundle, backend, precision, threads, batch, build=True)
    refused: list[str] = []
    order = AUTO_ORDER if backend == "auto" else (*GPU_BACKENDS, *CPU_BACKENDS)
    for name in _usable(bundle, order, precision, refused):
        try:
            selection, runner = _open(bundle, name, precision, threads, batch, build=False)
        except (BackendUnavailableError, ModelError) as error:
            if name not in GPU_BACKENDS:
                raise
            # A GPU was there to be used, so its failure is not passed over in silence.
            _warn(f"{name} cannot be used ({error})")
            continue
        if backend == "gpu" and name not in GPU_BACKENDS:
            _warn(f"a GPU was asked for, but {name} on the CPU is what runs: {'; '.join(refused)}")
        return selection, runner
    raise ModelNotFoundError(
        f"{bundle.source} holds no {precision} recogniser that can run here: {'; '.join(refused) or 'none is listed'}"
    )


def measured_speeds(bundle: Bundle, backend: str, threads: int = 1, *, again: bool = False) -> dict[str, float]:
    """Return the milliseconds of one face per file that ``precision="auto"`` chooses from, best trusted first.

    Parameters
    ----------
    bundle : Bundle
        Where the files are.
    backend : str
        A backend for the CPU.
    threads : int
        Threads within one run.
    again : bool
        Measure even if there is a remembered result.

    Returns
    -------
    dict of str to float
        Artefact id to milliseconds.
    """
    artifacts = trusted_artifacts(bundle, backend)
    names = {artifact.id for artifact in artifacts}
    version = next((info.version for info in available_backends() if info.name == backend), None)
    key = speed_key(hashlib.sha256(bundle.manifest_bytes).hexdigest(), backend, version, threads)
    known = None if again else remembered_speed(key, names)
    if known is None:
        with ExitStack() as stack:
            runners = {
                artifact.id: stack.enter_context(open_runner(bundle.read(artifact.file), backend, threads))
                for artifact in artifacts
            }
            known = measure_speed(runners)
        remember_speed(key, known)
    return {artifact.id: known[artifact.id] for artifact in artifacts}


def trusted_artifacts(bundle: Bundle, backend: str) -> tuple[Artifact, ...]:
    """Return the files ``precision="auto"`` may choose from on a backend: FP32, and those whose proof was passed."""
    proofs = [proof for proof in bundle.manifest.proofs if proof.runtime == backend]
    proved = {proof.artifact for proof in proofs if proof.passed} - {p.artifact for p in proofs if not p.passed}
    return tuple(
        artifact
        for artifact in bundle.manifest.artifacts
        if backend in artifact.runtimes and (artifact.precision == "fp32" or artifact.id in proved)
    )


def _usable(bundle: Bundle, order: tuple[str, ...], precision: str, refused: list[str]) -> Iterator[str]:
    """Give the backends of `order` that are here and for which the bundle holds a file; note why the others are not."""
    infos = {info.name: info for info in available_backends()}
    for name in order:
        if not infos[name].available:
            refused.append(infos[name].reason)
        elif not _artifacts(bundle, name, precision):
            refused.append(f"{bundle.source} holds no {precision} recogniser for {name}")
        else:
            yield name


def _artifacts(bundle: Bundle, backend: str, precision: str) -> tuple[Artifact, ...]:
    """Return the bundle's files for a backend, best first; a GPU takes the CPU's FP32 file where it has none itself."""
    own = [artifact for artifact in bundle.manifest.artifacts if backend in artifact.runtimes]
    if not own and backend in GPU_BACKENDS:
        files = bundle.manifest.artifacts
        own = [artifact for artifact in files if _REFERENCE in artifact.runtimes and artifact.precision == "fp32"]
    return tuple(artifact for artifact in own if precision in ("auto", artifact.precision))


def _open(
    bundle: Bundle, backend: str, precision: str, threads: int, batch: int, *, build: bool
) -> tuple[Selection, Runner]:
    candidates = _artifacts(bundle, backend, precision)
    if not candidates:
        # Says what the bundle holds instead.
        bundle.artifact(backend, precision)
    if precision == "auto":
        trusted = {artifact.id for artifact in trusted_artifacts(bundle, backend)}
        candidates = tuple(artifact for artifact in candidates if artifact.id in trusted) or candidates[:1]
    if backend in GPU_BACKENDS:
        return _open_on_gpu(bundle, backend, candidates, threads, batch, build=build)
    artifact = candidates[0] if len(candidates) == 1 else _fastest(bundle, backend, candidates, threads)
    return Selection(backend, artifact, backend), open_runner(bundle.read(artifact.file), backend, threads)


def _fastest(bundle: Bundle, backend: str, candidates: tuple[Artifact, ...], threads: int) -> Artifact:
    speeds = measured_speeds(bundle, backend, threads)
    quickest = min(candidates, key=lambda artifact: speeds.get(artifact.id, float("inf")))
    exact = next((artifact for artifact in candidates if artifact.precision == "fp32"), quickest)
    return quickest if speeds[quickest.id] <= _WORTHWHILE * speeds[exact.id] else exact


def _open_on_gpu(
    bundle: Bundle, backend: str, candidates: tuple[Artifact, ...], threads: int, batch: int, *, build: bool
) -> tuple[Selection, Runner]:
    """Open the first candidate that has an engine, else build the first one; then compare it with the CPU."""
    faults: list[ModelError] = []
    for may_build in (False, True) if build else (False,):
        for artifact in candidates:
            hints = ModelHints(artifact.precision, bundle.contract, batch, may_build)
            try:
                runner = open_runner(bundle.read(artifact.file), backend, threads, hints)
            except ModelNotFoundError as error:
                faults.append(error)
                continue
            try:
                return _checked_on_gpu(bundle, backend, artifact, runner), runner
            except BaseException:
                runner.close()
                raise
    raise faults[-1]


def _checked_on_gpu(bundle: Bundle, backend: str, artifact: Artifact, runner: Runner) -> Selection:
    limits = EXACT if artifact.precision == "fp32" else ROUNDED
    with open_runner(bundle.read(artifact.file), _REFERENCE) as reference:
        check_agreement(reference, runner, limits)
    return Selection(backend, artifact, backend if backend in artifact.runtimes else _REFERENCE)


def _warn(message: str) -> None:
    warnings.warn(message, GpuNotUsedWarning, stacklevel=4)
