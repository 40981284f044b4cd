"""ONNX Runtime, the default backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive_int
from qcface_sdk.errors import BackendUnavailableError, InferenceError, ModelFormatError
from qcface_sdk.runtime.base import Runner, TensorSpec, check_model_bytes, closed_error, one_line

Provider = str | tuple[str, dict[str, str]]

_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OrtRunner(Runner):
    """A model in ONNX Runtime; thread-safe, since ONNX Runtime's sessions are.

    Parameters
    ----------
    model : bytes
        The ONNX file. Weights outside the file are not supported.
    threads : int, default 1
        Threads within one run.
    providers : sequence, optional
        Execution providers, best first, as names or (name, options); None takes the CPU.

    Raises
    ------
    BackendUnavailableError
        If onnxruntime is not installed or lacks a provider.
    ModelFormatError
        If `model` is not an ONNX file that this ONNX Runtime can load.
    """

    name = "onnxruntime"

    def __init__(self, model: bytes, *, threads: int = 1, providers: Sequence[Provider] | None = None) -> None:
        check_model_bytes(model)
        count = check_positive_int("threads", threads)
        ort = _onnxruntime()
        chosen = _checked_providers(ort, providers)
        try:
            session = ort.InferenceSession(model, sess_options=_session_options(ort, count), providers=chosen)
        except Exception as error:
            raise ModelFormatError(
                f"ONNX Runtime {ort.__version__} cannot load this model of {len(model):,} bytes ({one_line(error)}); "
                "is it a whole ONNX file?"
            ) from error
        self.inputs = tuple(_spec(value) for value in session.get_inputs())
        self.outputs = tuple(_spec(value) for value in session.get_outputs())
        self.providers: tuple[str, ...] = tuple(session.get_providers())
        self._output_names = [spec.name for spec in self.outputs]
        self._session: Any = session

    def close(self) -> None:
        """Release the session."""
        self._session = None

    def _infer(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        session = self._session
        if session is None:
            raise closed_error(self.name)
        try:
            values = session.run(self._output_names, feeds)
        except Exception as error:
            raise InferenceError(f"ONNX Runtime failed while running the model: {one_line(error)}") from error
        return dict(zip(self._output_names, values, strict=True))


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailableError(
            f"backend onnxruntime cannot be imported ({error}); install it with: pip install onnxruntime"
        ) from error
    return onnxruntime


def _checked_providers(ort: Any, providers: Sequence[Provider] | None) -> list[Provider]:
    wanted: list[Provider] = ["CPUExecutionProvider"] if providers is None else list(providers)
    available = ort.get_available_providers()
    names = [provider if isinstance(provider, str) else provider[0] for provider in wanted]
    if missing := [name for name in names if name not in available]:
        raise BackendUnavailableError(
            f"this ONNX Runtime has no {missing[0]}, only {', '.join(available)}; install a build that has it"
        )
    return wanted


def _session_options(ort: Any, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors only: warnings of the optimiser mean nothing to a user
    # Plans are kept per input shape; with dynamic sizes they would grow without bound.
    options.enable_mem_pattern = False
    # Idle threads that spin take the cores of the camera decoder beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _spec(value: Any) -> TensorSpec:
    if value.type not in _DTYPES:
        raise ModelFormatError(f"{value.name!r} must be a tensor of numbers, got {value.type}; is this a face model?")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)
    return TensorSpec(value.name, np.dtype(_DTYPES[value.type]), shape)
