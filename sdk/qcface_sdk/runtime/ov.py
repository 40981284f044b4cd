"""OpenVINO, the optional CPU backend."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive_int
from qcface_sdk.errors import BackendUnavailableError, InferenceError, ModelFormatError
from qcface_sdk.runtime.base import Runner, TensorSpec, check_model_bytes, closed_error, one_line


class OvRunner(Runner):
    """A model in OpenVINO on the CPU; thread-safe through a pool of infer requests.

    The pool grows to the number of threads that ever ran at once and no further.

    Parameters
    ----------
    model : bytes
        The ONNX file.
    threads : int, default 1
        Threads within one run.

    Raises
    ------
    BackendUnavailableError
        If openvino is not installed.
    ModelFormatError
        If `model` is not an ONNX file that this OpenVINO can load.
    """

    name = "openvino"

    def __init__(self, model: bytes, *, threads: int = 1) -> None:
        check_model_bytes(model)
        count = check_positive_int("threads", threads)
        openvino = _openvino()
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(model), "CPU", _options(count))
        except Exception as error:
            raise ModelFormatError(
                f"OpenVINO {openvino.__version__} cannot load this model of {len(model):,} bytes ({one_line(error)}); "
                "is it a whole ONNX file?"
            ) from error
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        self._compiled: Any = compiled

    def close(self) -> None:
        """Release the compiled model and its requests."""
        with self._lock:
            self._compiled = None
            self._idle.clear()

    def _infer(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        request = self._take_request()
        try:
            # OpenVINO reuses a request's output memory, so the copy is what makes the result the caller's.
            results = request.infer(feeds, share_inputs=True, share_outputs=True)
            values = [np.array(results[index]) for index in range(len(self.outputs))]
        except Exception as error:
            raise InferenceError(f"OpenVINO failed while running the model: {one_line(error)}") from error
        with self._lock:
            if self._compiled is not None:
                self._idle.append(request)
        return {spec.name: value for spec, value in zip(self.outputs, values, strict=True)}

    def _take_request(self) -> Any:
        with self._lock:
            if self._compiled is None:
                raise closed_error(self.name)
            return self._idle.pop() if self._idle else self._compiled.create_infer_request()


def _openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise BackendUnavailableError(
            f'backend openvino cannot be imported ({error}); install it with: pip install "qcface-sdk[openvino]"'
        ) from error
    return openvino


def _options(threads: int) -> dict[str, Any]:
    return {
        # By default OpenVINO may compute in BF16 where the CPU has it, which moves magnitudes and so qualities.
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }


def _name(port: Any) -> str:
    """Return the ONNX name: OpenVINO also lists names of tensors it has merged into this one, in any order."""
    node_name: str = port.get_node().get_friendly_name().removesuffix("/sink_port_0")
    return node_name if node_name in port.get_names() else str(port.get_any_name())


def _spec(port: Any) -> TensorSpec:
    shape = tuple(None if size.is_dynamic else size.get_length() for size in port.get_partial_shape())
    return TensorSpec(_name(port), np.dtype(port.get_element_type().to_dtype()), shape)
