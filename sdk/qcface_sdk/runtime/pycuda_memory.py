"""Device memory through `pycuda`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.runtime.device_memory import DeviceMemory, device_error

_DEVICE = 0
_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING of cuda.h, which pycuda does not name
_T = TypeVar("_T")


class PycudaMemory(DeviceMemory):
    """See `DeviceMemory`. Retains the device's *primary* context, which TensorRT and PyTorch use too.

    ``pycuda.autoinit`` makes a context of its own instead; mixing the two in one thread is what breaks programs.
    pycuda has no stream capture, so there are no CUDA graphs with it.

    Raises
    ------
    BackendUnavailableError
        If the package cannot be imported, as is the case without a driver.
    InferenceError
        If CUDA refuses the device.
    """

    name = "pycuda"
    graphs = False

    def __init__(self) -> None:
        try:
            import pycuda.driver as driver
        except ImportError as error:
            raise BackendUnavailableError(
                f"pycuda cannot be imported ({error}); it must be built for the CUDA that is installed, or use: "
                "pip install cuda-bindings"
            ) from error
        self._driver: Any = driver
        self._call("start", driver.init)
        self._context: Any = self._call("choose the device", lambda: driver.Device(_DEVICE).retain_primary_context())
        self.version = ".".join(map(str, driver.get_version()[:2]))
        self._allocations: dict[int, Any] = {}
        self._pinned: dict[int, Any] = {}
        self._streams: dict[int, Any] = {}

    def active(self) -> AbstractContextManager[object]:
        """Push the primary context onto this thread's stack."""
        return self._pushed()

    @contextmanager
    def _pushed(self) -> Iterator[None]:
        self._call("choose the device", self._context.push)
        try:
            yield
        finally:
            self._context.pop()

    def allocate(self, size: int) -> int:
        """See `DeviceMemory`."""
        allocation = self._call(f"allocate {size:,} bytes", lambda: self._driver.mem_alloc(size))
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        """See `DeviceMemory`."""
        self._call("free memory", self._allocations.pop(address).free)

    def pin(self, size: int) -> NDArray[np.uint8]:
        """See `DeviceMemory`."""
        array: NDArray[np.uint8] = self._call(
            f"pin {size:,} bytes", lambda: self._driver.pagelocked_empty(size, np.uint8)
        )
        self._pinned[array.ctypes.data] = array
        return array

    def unpin(self, array: NDArray[np.uint8]) -> None:
        """See `DeviceMemory`."""
        self._call("free pinned memory", self._pinned.pop(array.ctypes.data).base.free)

    def open_stream(self) -> int:
        """See `DeviceMemory`."""
        stream = self._call("open a stream", lambda: self._driver.Stream(_NON_BLOCKING))
        self._streams[stream.handle] = stream
        return int(stream.handle)

    def close_stream(self, stream: int) -> None:
        """See `DeviceMemory`; pycuda destroys a stream with its last reference."""
        self._streams.pop(stream)

    def upload(self, address: int, source: NDArray[np.uint8], stream: int) -> None:
        """See `DeviceMemory`."""
        queue = self._streams[stream]
        self._call(
            f"copy {source.nbytes:,} bytes", lambda: self._driver.memcpy_htod_async(address, source, stream=queue)
        )

    def download(self, target: NDArray[np.uint8], address: int, stream: int) -> None:
        """See `DeviceMemory`."""
        queue = self._streams[stream]
        self._call(
            f"copy {target.nbytes:,} bytes", lambda: self._driver.memcpy_dtoh_async(target, address, stream=queue)
        )

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """See `DeviceMemory`."""
        queue = self._streams[stream]
        self._call(f"copy {size:,} bytes", lambda: self._driver.memcpy_dtod_async(target, source, size, stream=queue))

    def synchronize(self, stream: int) -> None:
        """See `DeviceMemory`; a stream of another library is waited for with the whole context."""
        queue = self._streams.get(stream)
        self._call("finish its work", self._context.synchronize if queue is None else queue.synchronize)

    def begin_capture(self, stream: int) -> None:
        """Not possible with pycuda; `graphs` says so."""
        raise NotImplementedError("pycuda cannot capture graphs; see DeviceMemory.graphs")

    def end_capture(self, stream: int) -> Any:
        """Not possible with pycuda; `graphs` says so."""
        raise NotImplementedError("pycuda cannot capture graphs; see DeviceMemory.graphs")

    def launch(self, graph: Any, stream: int) -> None:
        """Not possible with pycuda; `graphs` says so."""
        raise NotImplementedError("pycuda cannot capture graphs; see DeviceMemory.graphs")

    def drop_graph(self, graph: Any) -> None:
        """Not possible with pycuda; `graphs` says so."""
        raise NotImplementedError("pycuda cannot capture graphs; see DeviceMemory.graphs")

    def _call(self, what: str, function: Callable[[], _T]) -> _T:
        try:
            return function()
        except self._driver.Error as error:
            # Subclasses of Error carry CUresult's name in the text only: "cuMemAlloc failed: out of memory".
            raise device_error(what, _status(str(error), self._driver, error), str(error)) from error


def _status(text: str, driver: Any, error: BaseException) -> int:
    if isinstance(error, driver.MemoryError):
        return 2
    lost = ("illegal address", "launch failed", "launch timed out", "unknown error", "uncorrectable", "misaligned")
    return 719 if any(words in text for words in lost) else 1
