"""Measure how large every activation of a network gets, on pictures, with ONNX Runtime on one thread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qcface_export.bundle_packing import INPUT
from qcface_export.calibration_table import PERCENTILES, CalibrationTable, TensorRange
from qcface_export.errors import CalibrationError
from qcface_export.onnx_graph import Graph
from qcface_export.pictures import PictureSet
from qcface_sdk.manifest import InputContract
from qcface_sdk.runtime.ort import OrtRunner

_BATCH = 16


def calibrate(
    master: bytes,
    pictures: PictureSet,
    *,
    preprocessing: InputContract = INPUT,
    percentiles: Sequence[float] = PERCENTILES,
) -> CalibrationTable:
    """Return the calibration table of a master.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    pictures : PictureSet
        Aligned crops like those the network will see; some hundreds will do.
    preprocessing : InputContract
        How crops become network input.
    percentiles : sequence of float
        Percentiles of the absolute value to keep, exact over all pictures.

    Raises
    ------
    ExportError
        If the master is no usable ONNX file.
    CalibrationError
        If an activation is not finite.
    """
    tensors = Graph(master).activations()
    seen = {name: _Seen(percentiles) for name in tensors}
    for values in infer_tensors(master, pictures, tensors, preprocessing=preprocessing):
        for name in tensors:
            seen[name].add(name, values[name], len(pictures.crops))
    ranges = {name: seen[name].result() for name in tensors}
    return CalibrationTable.of(master, pictures.sha256, len(pictures.crops), preprocessing, ranges)


def infer_tensors(
    model: bytes, pictures: PictureSet, tensors: Sequence[str], *, preprocessing: InputContract = INPUT
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Run an FP32 network; yield the named activations of some pictures at a time.

    Raises
    ------
    ExportError
        If the model is no usable ONNX file.
    """
    graph = Graph(model)
    with OrtRunner(_with_outputs(graph, tensors), threads=1) as runner:
        for start in range(0, len(pictures.crops), _BATCH):
            feed = network_input(pictures.crops[start : start + _BATCH], preprocessing)
            values = {graph.input: feed, **runner.infer({graph.input: feed})}
            yield {name: values[name] for name in tensors}


def network_input(crops: NDArray[np.uint8], preprocessing: InputContract) -> NDArray[np.float32]:
    """Return BGR crops (N, H, W, 3) as network input (N, 3, H, W)."""
    pixels = crops[..., ::-1] if preprocessing.color == "RGB" else crops
    mean, std = np.array(preprocessing.mean, np.float32), np.array(preprocessing.std, np.float32)
    scaled = (pixels.astype(np.float32) - mean) / std
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def _with_outputs(graph: Graph, tensors: Sequence[str]) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(graph.proto)
    known = {graph.input, graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors if name not in known
    )
    data: bytes = model.SerializeToString()
    return data


class _Seen:
    """Minimum, maximum and the largest absolute values of a stream, of which exact percentiles are read."""

    def __init__(self, percentiles: Sequence[float]) -> None:
        self._percentiles = tuple(percentiles)
        self._low, self._high = math.inf, -math.inf
        self._total = 0
        self._numbers = 0
        self._keep = 0
        self._cut = -math.inf
        self._parts: list[NDArray[np.float32]] = []
        self._held = 0

    def add(self, name: str, values: NDArray[Any], pictures: int) -> None:
        """Take the values of some pictures; `pictures` is how many there will be in all."""
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CalibrationError(f"activation {name!r} is not finite on these pictures; the model is damaged")
        self._low, self._high = min(self._low, low), max(self._high, high)
        if not self._keep:
            self._numbers = values[0].size
            whole = values[0].size * pictures
            self._keep = whole - min(_place(percentile, whole) for percentile in self._percentiles)
        sizes = np.abs(values).ravel()
        kept = sizes[sizes > self._cut] if math.isfinite(self._cut) else sizes
        self._total += values.size
        self._parts.append(kept)
        self._held += len(kept)
        if self._held > 2 * self._keep:
            largest = np.concatenate(self._parts)
            largest = np.partition(largest, len(largest) - self._keep)[-self._keep :]
            self._cut = float(largest.min())
            self._parts, self._held = [largest], len(largest)

    def result(self) -> TensorRange:
        """Return what was seen."""
        ordered = np.sort(np.concatenate(self._parts))
        offset = self._total - len(ordered)
        values = {
            f"{percentile:g}": float(ordered[max(_place(percentile, self._total) - offset, 0)])
            for percentile in self._percentiles
        }
        return TensorRange(self._low, self._high, values, self._numbers)


def _place(percentile: float, total: int) -> int:
    """Return the place, in rising order, of the value that a percentile of `total` values means."""
    return min(total - 1, math.ceil(percentile / 100 * total) - 1)
