"""Is there a GPU that CUDA can use? Asked of the driver itself, before anything of NVIDIA's libraries is touched.

TensorRT's own constructors end the *process* where there is no driver, so nobody may call them before
`find_cuda_device` has returned. It needs nothing but the driver's library and its old, stable C interface.
"""

from __future__ import annotations

import ctypes
import functools
import sys
from dataclasses import dataclass
from typing import Any

from qcface_sdk.errors import DeviceUnavailableError

_LIBRARIES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")
# CUdevice_attribute of cuda.h.
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """The first GPU that CUDA shows to this process; ``CUDA_VISIBLE_DEVICES`` chooses another."""

    name: str
    """Product name."""
    sm: str
    """Compute capability, such as ``8.7``."""
    driver: str
    """Newest CUDA version that the driver serves, such as ``12.6``."""
    memory: int
    """Bytes."""


@functools.cache
def find_cuda_device() -> CudaDevice:
    """Return the GPU that will be used. Harmless without a driver.

    Raises
    ------
    DeviceUnavailableError
        If there is no NVIDIA driver, or it shows no usable GPU; the message says which.
    """
    driver = _load_driver()
    _call(driver, "cuInit", 0)
    version, count = ctypes.c_int(), ctypes.c_int()
    _call(driver, "cuDriverGetVersion", ctypes.byref(version))
    _call(driver, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise DeviceUnavailableError("the NVIDIA driver shows no GPU to this process; check CUDA_VISIBLE_DEVICES")
    handle = ctypes.c_int()
    _call(driver, "cuDeviceGet", ctypes.byref(handle), 0)
    name = ctypes.create_string_buffer(256)
    _call(driver, "cuDeviceGetName", name, len(name), handle)
    memory = ctypes.c_size_t()
    _call(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), handle)
    major = _attribute(driver, _COMPUTE_CAPABILITY_MAJOR, handle)
    minor = _attribute(driver, _COMPUTE_CAPABILITY_MINOR, handle)
    text = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return CudaDevice(name.value.decode("utf-8", "replace"), f"{major}.{minor}", text, memory.value)


def _load_driver() -> Any:
    for library in _LIBRARIES:
        try:
            return ctypes.CDLL(library)
        except OSError:
            continue
    raise DeviceUnavailableError(
        f"no NVIDIA driver is installed ({_LIBRARIES[0]} is not found), so nothing can run on a GPU; install the "
        "driver, or use backend='onnxruntime'"
    )


def _attribute(driver: Any, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _call(driver, "cuDeviceGetAttribute", ctypes.byref(value), number, device)
    return value.value


def _call(driver: Any, function: str, *arguments: Any) -> None:
    status = getattr(driver, function)(*arguments)
    if status != 0:
        raise DeviceUnavailableError(
            f"the NVIDIA driver cannot be used: {function} failed with {_error_text(driver, status)}; see nvidia-smi "
            "(tegrastats on a Jetson), or use backend='onnxruntime'"
        )


def _error_text(driver: Any, status: int) -> str:
    text = ctypes.c_char_p()
    known = driver.cuGetErrorString(status, ctypes.byref(text)) == 0 and text.value is not None
    return f"error {status} ({(text.value or b'').decode()})" if known else f"error {status}"
