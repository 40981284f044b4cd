"""Arrays that are on the GPU already, as other libraries describe them by ``__cuda_array_interface__``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qcface_sdk.errors import ShapeError
from qcface_sdk.runtime.base import TensorSpec, check_shape


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """A C-contiguous array on the GPU. Keeps its owner alive."""

    address: int
    """First element."""
    shape: tuple[int, ...]
    """Size of each axis."""
    dtype: np.dtype[Any]
    """Type of the elements."""
    stream: int | None
    """Stream whose work must be done before it may be read; None if there is none."""
    owner: Any
    """The object that was passed in."""

    @classmethod
    def of(cls, value: Any, spec: TensorSpec) -> DeviceArray:
        """Return the array behind ``value.__cuda_array_interface__``.

        Raises
        ------
        ShapeError
            If its type, shape or memory layout is not that of the input.
        """
        interface = value.__cuda_array_interface__
        shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
        check_shape(spec, dtype, shape)
        strides = interface.get("strides")
        if strides is not None and tuple(strides) != _contiguous(shape, dtype.itemsize):
            raise ShapeError(f"input {spec.name!r} must be C-contiguous on the GPU, got strides {strides}; copy it")
        return cls(int(interface["data"][0]), shape, dtype, interface.get("stream"), value)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> DeviceArray:
        start, stop, _ = rows.indices(self.shape[0])
        row_bytes = self.nbytes // self.shape[0]
        return replace(self, address=self.address + start * row_bytes, shape=(stop - start, *self.shape[1:]))


def is_device_array(value: Any) -> bool:
    """Return whether another library keeps `value` on the GPU."""
    return not isinstance(value, np.ndarray) and hasattr(value, "__cuda_array_interface__")


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides, step = [], itemsize
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))
