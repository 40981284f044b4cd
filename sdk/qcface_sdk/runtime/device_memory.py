"""What the TensorRT runner needs of CUDA, behind one small interface.

`cuda.bindings` is NVIDIA's own package, with wheels for x86-64 and aarch64; `pycuda` serves where it is what is
installed. Tests use plain host memory. Addresses and streams are whole numbers, as TensorRT takes them.
"""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import BackendUnavailableError, DeviceLostError, InferenceError

# CUresult and cudaError_t agree on these: what ends a context for good (cuda.h, driver_types.h).
_LOST = frozenset({46, 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999})
_OUT_OF_MEMORY = 2


class DeviceMemory(ABC):
    """Memory, copies and streams of one GPU. Every method may be called from any thread inside ``with active():``."""

    name: str
    """Package behind it."""
    version: str
    """CUDA version of that package, such as ``12.6``."""
    graphs: bool
    """Whether it can capture CUDA graphs."""

    @abstractmethod
    def active(self) -> AbstractContextManager[object]:
        """Make the GPU current in this thread for the length of a ``with`` block."""

    @abstractmethod
    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on the GPU."""

    @abstractmethod
    def free(self, address: int) -> None:
        """Give back what `allocate` returned."""

    @abstractmethod
    def pin(self, size: int) -> NDArray[np.uint8]:
        """Return `size` bytes of host memory that the GPU copies from and to without the CPU."""

    @abstractmethod
    def unpin(self, array: NDArray[np.uint8]) -> None:
        """Give back what `pin` returned."""

    @abstractmethod
    def open_stream(self) -> int:
        """Return a new stream that does not wait for others."""

    @abstractmethod
    def close_stream(self, stream: int) -> None:
        """Give back what `open_stream` returned."""

    @abstractmethod
    def upload(self, address: int, source: NDArray[np.uint8], stream: int) -> None:
        """Queue a copy from pinned memory to the GPU."""

    @abstractmethod
    def download(self, target: NDArray[np.uint8], address: int, stream: int) -> None:
        """Queue a copy from the GPU to pinned memory."""

    @abstractmethod
    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Queue a copy within the GPU."""

    @abstractmethod
    def synchronize(self, stream: int) -> None:
        """Wait until everything queued is done; faults of queued work appear here."""

    @abstractmethod
    def begin_capture(self, stream: int) -> None:
        """Record what is queued from here on instead of doing it."""

    @abstractmethod
    def end_capture(self, stream: int) -> Any:
        """Return the recording, ready to be launched."""

    @abstractmethod
    def launch(self, graph: Any, stream: int) -> None:
        """Queue a recording."""

    @abstractmethod
    def drop_graph(self, graph: Any) -> None:
        """Give back what `end_capture` returned."""


def open_device_memory() -> DeviceMemory:
    """Return the memory of the GPU, through whichever package is installed. Call `find_cuda_device` before.

    Raises
    ------
    BackendUnavailableError
        If neither package is installed.
    """
    if _installed("cuda.bindings"):
        from qcface_sdk.runtime.cuda_bindings_memory import CudaBindingsMemory

        return CudaBindingsMemory()
    if _installed("pycuda"):
        from qcface_sdk.runtime.pycuda_memory import PycudaMemory

        return PycudaMemory()
    raise BackendUnavailableError(
        "backend tensorrt needs cuda-bindings or pycuda, and neither is installed; install one with: "
        'pip install "qcface-sdk[tensorrt]"'
    )


def device_error(what: str, status: int, text: str) -> InferenceError:
    """Return the error for a failed CUDA call."""
    message = f"the GPU failed to {what}: CUDA error {status} ({text})"
    if status in _LOST:
        return DeviceLostError(f"{message}; start the process again, and see dmesg for the driver's account")
    if status == _OUT_OF_MEMORY:
        return InferenceError(f"{message}; its memory is full: use a smaller batch_size or end other programs on it")
    return InferenceError(message)


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:
        return False
