"""Device memory through `cuda.bindings`, NVIDIA's Python package for the CUDA runtime."""

from __future__ import annotations

import ctypes
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.runtime.device_memory import DeviceMemory, device_error

_DEVICE = 0


class CudaBindingsMemory(DeviceMemory):
    """See `DeviceMemory`. Uses the device's primary context, which TensorRT uses too.

    Raises
    ------
    BackendUnavailableError
        If the package cannot be imported.
    InferenceError
        If CUDA refuses the device.
    """

    name = "cuda.bindings"
    graphs = True

    def __init__(self) -> None:
        try:
            from cuda.bindings import runtime
        except ImportError as error:
            raise BackendUnavailableError(
                f'cuda.bindings cannot be imported ({error}); install it with: pip install "qcface-sdk[tensorrt]"'
            ) from error
        self._cuda: Any = runtime
        self._call("choose the device", runtime.cudaSetDevice, _DEVICE)
        number = int(self._call("tell its version", runtime.cudaRuntimeGetVersion))
        self.version = f"{number // 1000}.{number % 1000 // 10}"

    def active(self) -> AbstractContextManager[object]:
        """Choose the device in this thread; the runtime keeps that choice per thread."""
        self._call("choose the device", self._cuda.cudaSetDevice, _DEVICE)
        return nullcontext()

    def allocate(self, size: int) -> int:
        """See `DeviceMemory`."""
        return int(self._call(f"allocate {size:,} bytes", self._cuda.cudaMalloc, size))

    def free(self, address: int) -> None:
        """See `DeviceMemory`."""
        self._call("free memory", self._cuda.cudaFree, address)

    def pin(self, size: int) -> NDArray[np.uint8]:
        """See `DeviceMemory`."""
        address = int(
            self._call(f"pin {size:,} bytes", self._cuda.cudaHostAlloc, size, self._cuda.cudaHostAllocDefault)
        )
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))

    def unpin(self, array: NDArray[np.uint8]) -> None:
        """See `DeviceMemory`."""
        self._call("free pinned memory", self._cuda.cudaFreeHost, array.ctypes.data)

    def open_stream(self) -> int:
        """See `DeviceMemory`."""
        return int(self._call("open a stream", self._cuda.cudaStreamCreateWithFlags, self._cuda.cudaStreamNonBlocking))

    def close_stream(self, stream: int) -> None:
        """See `DeviceMemory`."""
        self._call("close a stream", self._cuda.cudaStreamDestroy, stream)

    def upload(self, address: int, source: NDArray[np.uint8], stream: int) -> None:
        """See `DeviceMemory`."""
        self._copy(address, source.ctypes.data, source.nbytes, "cudaMemcpyHostToDevice", stream)

    def download(self, target: NDArray[np.uint8], address: int, stream: int) -> None:
        """See `DeviceMemory`."""
        self._copy(target.ctypes.data, address, target.nbytes, "cudaMemcpyDeviceToHost", stream)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """See `DeviceMemory`."""
        self._copy(target, source, size, "cudaMemcpyDeviceToDevice", stream)

    def synchronize(self, stream: int) -> None:
        """See `DeviceMemory`."""
        self._call("finish its work", self._cuda.cudaStreamSynchronize, stream)

    def begin_capture(self, stream: int) -> None:
        """See `DeviceMemory`."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("begin a graph", self._cuda.cudaStreamBeginCapture, stream, mode)

    def end_capture(self, stream: int) -> Any:
        """See `DeviceMemory`."""
        graph = self._call("end a graph", self._cuda.cudaStreamEndCapture, stream)
        try:
            return self._call("instantiate a graph", self._cuda.cudaGraphInstantiate, graph, 0)
        finally:
            self._call("free a graph", self._cuda.cudaGraphDestroy, graph)

    def launch(self, graph: Any, stream: int) -> None:
        """See `DeviceMemory`."""
        self._call("launch a graph", self._cuda.cudaGraphLaunch, graph, stream)

    def drop_graph(self, graph: Any) -> None:
        """See `DeviceMemory`."""
        self._call("free a graph", self._cuda.cudaGraphExecDestroy, graph)

    def _copy(self, target: int, source: int, size: int, kind: str, stream: int) -> None:
        direction = getattr(self._cuda.cudaMemcpyKind, kind)
        self._call(f"copy {size:,} bytes", self._cuda.cudaMemcpyAsync, target, source, size, direction, stream)

    def _call(self, what: str, function: Any, *arguments: Any) -> Any:
        status, *values = function(*arguments)
        if int(status) != 0:
            _, text = self._cuda.cudaGetErrorString(status)
            raise device_error(what, int(status), text.decode() if isinstance(text, bytes) else str(status))
        return values[0] if values else None
