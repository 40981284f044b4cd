"""Memory of a TensorRT runner: for each tensor a place on the GPU and one in pinned host memory.

Places grow to the largest shape seen and are reused, so a steady stream of calls allocates nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.runtime.device_array import DeviceArray
from qcface_sdk.runtime.device_memory import DeviceMemory


@dataclass(slots=True)
class _Place:
    address: int
    pinned: NDArray[np.uint8]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def view(self) -> NDArray[Any]:
        return self.pinned[: self.nbytes].view(self.dtype).reshape(self.shape)


class Buffers:
    """The places of one runner; not thread-safe, the runner takes turns.

    Parameters
    ----------
    memory : DeviceMemory
        Where they come from.
    """

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory
        self._places: dict[str, _Place] = {}

    def reserve(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        """Make room for a tensor of this shape and return its address on the GPU."""
        size = max(1, math.prod(shape) * dtype.itemsize)
        place = self._places.get(name)
        if place is not None and place.pinned.nbytes >= size:
            place.shape, place.dtype = shape, dtype
            return place.address
        self._release(name)
        address = self._memory.allocate(size)
        try:
            pinned = self._memory.pin(size)
        except BaseException:
            self._memory.free(address)
            raise
        self._places[name] = _Place(address, pinned, shape, dtype)
        return address

    def fill(self, name: str, array: NDArray[Any] | DeviceArray, stream: int) -> None:
        """Queue the copy of an input to its place; rows beyond those of `array` are padding of any value."""
        place = self._places[name]
        if isinstance(array, DeviceArray):
            if array.stream is not None:
                self._memory.synchronize(array.stream)
            self._memory.copy(place.address, array.address, array.nbytes, stream)
            return
        view = place.view
        view[: len(array)] = array
        view[len(array) :] = 0
        self._memory.upload(place.address, place.pinned[: place.nbytes], stream)

    def fetch(self, name: str, stream: int) -> None:
        """Queue the copy of an output to the host."""
        place = self._places[name]
        self._memory.download(place.pinned[: place.nbytes], place.address, stream)

    def result(self, name: str) -> NDArray[Any]:
        """Return a fetched output as an array of the caller's own."""
        return np.array(self._places[name].view)

    def close(self) -> None:
        """Give everything back."""
        for name in list(self._places):
            self._release(name)

    def _release(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is not None:
            try:
                self._memory.free(place.address)
            finally:
                self._memory.unpin(place.pinned)
