"""Scales, zero points and quantised weights: the arithmetic of 8 bits, in NumPy, as ONNX defines it.

``QuantizeLinear`` is ``clip(round(x / scale) + zero point)`` with halves to even, which is `numpy.rint`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST_SCALE = 2.0**-20
"""Below it a scale would lose its own precision in FP16; a channel that small does not matter."""

_LARGEST_BIAS = float(2**30)


@dataclass(frozen=True, slots=True)
class Scale:
    """How one activation tensor is stored in 8 bits."""

    scale: np.float32
    """Step of the grid."""
    zero_point: int
    """Integer that stands for 0."""
    signed: bool
    """Whether the integers are -128..127 instead of 0..255."""

    @property
    def dtype(self) -> type[np.int8] | type[np.uint8]:
        """Type of the integers."""
        return np.int8 if self.signed else np.uint8


def asymmetric_scale(low: float, high: float, *, signed: bool = False) -> Scale:
    """Return the grid of 256 steps that covers a range and holds 0 exactly."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32(max((high - low) / 255.0, SMALLEST_SCALE))
    zero = int(np.clip(np.rint(-low / float(scale)), 0, 255))
    return Scale(scale, zero - 128 if signed else zero, signed)


def symmetric_scale(low: float, high: float, *, half: bool = False) -> Scale:
    """Return the grid of -127..127 steps about 0; `half` rounds the step to what FP16 can hold."""
    return Scale(_rounded(max(abs(low), abs(high)) / 127.0, half=half), 0, True)


def _rounded(step: float, *, half: bool) -> np.float32:
    step = max(step, SMALLEST_SCALE)
    if half:
        step = float(np.float16(step))
    rounded: np.float32 = np.float32(step)
    return rounded


def weight_scales(
    weight: NDArray[np.float32], axis: int | None, *, half: bool = False, least: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Return the step of each output channel, or the one step of the whole tensor if `axis` is None.

    Parameters
    ----------
    weight : ndarray of float32
    axis : int or None
        Axis of the output channels.
    half : bool
        Round the steps to what FP16 can hold.
    least : ndarray, optional
        Steps that are needed at least.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others) if axis is not None else np.abs(weight).max()
    steps = np.atleast_1d(largest).astype(np.float64) / 127.0
    if least is not None:
        steps = np.maximum(steps, least)
    return np.array([_rounded(float(step), half=half) for step in steps], np.float32)


def quantize_weight(weight: NDArray[np.float32], scales: NDArray[np.float32], axis: int | None) -> NDArray[np.int8]:
    """Return a weight as integers of -127..127."""
    integers = np.clip(np.rint(weight / _along(scales, weight.ndim, axis)), -127, 127)
    return np.asarray(integers, np.int8)


def dequantize_weight(integers: NDArray[np.int8], scales: NDArray[np.float32], axis: int | None) -> NDArray[np.float32]:
    """Return what a weight's integers stand for."""
    return np.asarray(integers.astype(np.float32) * _along(scales, integers.ndim, axis), np.float32)


def _along(scales: NDArray[np.float32], dimensions: int, axis: int | None) -> NDArray[np.float32]:
    shape = [1] * dimensions
    if axis is not None:
        shape[axis] = -1
    return scales.reshape(shape)


def least_weight_scales(bias: NDArray[np.float32], input_scale: np.float32) -> NDArray[np.float64]:
    """Return the weight steps from which a bias fits 32-bit integers of ``input step x weight step``."""
    return np.abs(bias).astype(np.float64) / (float(input_scale) * _LARGEST_BIAS)


def quantize_bias(bias: NDArray[np.float32], steps: NDArray[np.float32]) -> NDArray[np.int32]:
    """Return a bias as 32-bit integers."""
    return np.rint(bias.astype(np.float64) / steps).astype(np.int32)


def fake_quantize(values: NDArray[np.float32], how: Scale) -> NDArray[np.float32]:
    """Return values after a round trip through their 8 bits."""
    low, high = (-128, 127) if how.signed else (0, 255)
    integers = np.clip(np.rint(values / how.scale) + how.zero_point, low, high)
    return np.asarray((integers - how.zero_point).astype(np.float32) * how.scale, np.float32)
