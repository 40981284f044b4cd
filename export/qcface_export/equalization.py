"""Give the channels of every activation a like range, so that one 8-bit grid for all of them wastes little.

A channel may be multiplied by a positive number where it is made and divided by it where it is read: Relu, sums and
pooling pass such a factor on, convolutions and linear layers take it into their weights, and the network computes what
it did. Without this, the loudest channel of a tensor decides the step of the grid and the quiet ones drown in it; here
that is most of what 8 bits cost. Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
ICCV 2019 (arXiv 1906.04721), section 4.1, extended from pairs of layers to whole residual stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from qcface_export.calibration import infer_tensors
from qcface_export.errors import CalibrationError, ExportError
from qcface_export.onnx_graph import WEIGHTED, Graph, attributes, output_axis
from qcface_export.pictures import PictureSet

STRENGTH = 0.5
"""Power of the ratio of ranges that a channel is multiplied by. At 1 all channels get the same range, but the quietest
ones then carry noise, clip on faces not calibrated on, and the weights that read them spread; 0.5 costs least."""
_LARGEST = 30.0
"""Factor that no channel exceeds: one that is never more than a thirtieth of the loudest carries next to nothing."""
_TOLERANCE = 1e-4
"""Largest difference of an embedding's number, relative to the longest embedding, that float32 rounding explains."""

_NORM = "BatchNormalization"
# One input, and the output is on the same channels, scaled as the input is, whatever the positive factor.
_PASS = ("Relu", "LeakyRelu", "PRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "Identity", "Dropout")

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Equalized:
    """A network whose channels are alike in range."""

    model: bytes
    """FP32 ONNX that computes the same embeddings."""
    groups: int
    """Sets of tensors that share their channels' factors."""
    channels: int
    """Channels that were scaled."""
    largest_difference: float
    """Largest difference of any number of an embedding, on the pictures."""

    def __str__(self) -> str:
        return (
            f"{self.channels} channels of {self.groups} groups of tensors scaled; embeddings differ by at most "
            f"{self.largest_difference:.2g}"
        )


@dataclass(slots=True)
class _Group:
    """Tensors whose channels must be scaled alike."""

    tensors: list[str]
    makers: list[onnx.NodeProto]
    """Layers whose output channels take the factors."""
    readers: list[onnx.NodeProto]
    """Layers whose input channels take them back."""


def equalize(master: bytes, pictures: PictureSet, *, strength: float = STRENGTH) -> Equalized:
    """Scale the channels of a master; calibrate the result, not the master.

    Parameters
    ----------
    master : bytes
        FP32 ONNX; every weight that may be scaled belongs to one layer.
    pictures : PictureSet
        Aligned crops like those the network will see.
    strength : float
        From 0, which changes nothing, to 1, which makes the ranges equal.

    Raises
    ------
    ExportError
        If the master is no usable ONNX file, or the result computes something else.
    CalibrationError
        If an activation is not finite.
    """
    if not 0 <= strength <= 1:
        raise ExportError(f"strength must be from 0 to 1, got {strength}")
    graph = Graph(master)
    groups = find_groups(graph)
    tensors = [name for group in groups for name in group.tensors if not _is_only_rectified(graph, name)]
    largest = _largest(master, pictures, tensors)
    constants = {
        name: values.astype(np.float64) for name, values in graph.constants.items() if values.dtype.kind == "f"
    }
    channels = 0
    for group in groups:
        factors = _factors([largest[name] for name in group.tensors if name in largest], strength)
        for node in group.makers:
            _scale_outputs(node, factors, constants)
        for node in group.readers:
            _scale_inputs(node, factors, constants)
        channels += len(factors)
    model = _with_constants(graph, constants)
    return Equalized(model, len(groups), channels, _check_same(master, model, graph.output, pictures))


def find_groups(graph: Graph) -> list[_Group]:
    """Return the sets of tensors whose channels can be scaled; those that touch anything else are left out."""
    union = _Union()
    fixed = {graph.input, graph.output}
    makers: list[tuple[str, onnx.NodeProto]] = []
    readers: list[tuple[str, onnx.NodeProto]] = []
    inside = set(graph.activations())
    for node in graph.nodes:
        data = [name for name in node.input if name in inside]
        if not data:
            continue
        if _is_scalable_layer(graph, node):
            readers.append((node.input[0], node))
            makers.append((node.output[0], node))
        elif _passes_factors_on(graph, node, data):
            for name in data:
                union.join(name, node.output[0])
        else:
            fixed.update(data, node.output)
    stopped = {union.root(name) for name in fixed}
    found: dict[str, _Group] = {}
    for name in graph.activations():
        root = union.root(name)
        if root not in stopped:
            found.setdefault(root, _Group([], [], [])).tensors.append(name)
    for name, node in makers:
        if union.root(name) in found:
            found[union.root(name)].makers.append(node)
    for name, node in readers:
        if union.root(name) in found:
            found[union.root(name)].readers.append(node)
    return [group for group in found.values() if group.makers and group.readers]


class _Union:
    """Disjoint sets of names."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}

    def root(self, name: str) -> str:
        while (parent := self._parents.get(name, name)) != name:
            name = parent
        return name

    def join(self, first: str, second: str) -> None:
        self._parents[self.root(second)] = self.root(first)


def _is_scalable_layer(graph: Graph, node: onnx.NodeProto) -> bool:
    """Whether a layer's weights are its own, so that factors can go into them."""
    if node.op_type not in (*WEIGHTED, _NORM) or node.input[0] in graph.constants:
        return False
    own = [name for name in node.input[1:] if name]
    if any(name not in graph.constants or len(graph.readers(name)) != 1 for name in own):
        return False
    weight, group = graph.constants[node.input[1]], attributes(node).get("group", 1)
    return node.op_type != "Conv" or group == 1 or (weight.shape[1] == 1 and group == weight.shape[0])


def _passes_factors_on(graph: Graph, node: onnx.NodeProto, data: Sequence[str]) -> bool:
    if node.op_type == "Add":
        return len(data) == 2
    if node.op_type in _PASS:
        return len(data) == 1
    if node.op_type in ("Reshape", "Flatten") and len(data) == 1:
        # (N, C, 1, 1) to (N, C): what a linear layer behind pooling reads.
        before, after = graph.shape(data[0]), graph.shape(node.output[0])
        return before is not None and after is not None and before[1:] == (*after[1:], 1, 1)
    return False


def _is_only_rectified(graph: Graph, tensor: str) -> bool:
    """Whether only Relu reads a tensor: what is below 0 is then never stored."""
    return all(node.op_type == "Relu" for node in graph.readers(tensor))


def _largest(master: bytes, pictures: PictureSet, tensors: Sequence[str]) -> dict[str, Floats]:
    """Return each channel's largest size of each tensor."""
    found: dict[str, Floats] = {}
    for values in infer_tensors(master, pictures, tensors):
        for name, value in values.items():
            sizes = np.abs(value).max(axis=(0, *range(2, value.ndim)))
            if not np.isfinite(sizes).all():
                raise CalibrationError(f"activation {name!r} is not finite on these pictures; the model is damaged")
            found[name] = np.maximum(found[name], sizes) if name in found else sizes
    return found


def _factors(sizes: Iterable[Floats], strength: float) -> NDArray[np.float64]:
    """Return the factor of each channel: 1 for the loudest, more for those that stay below it in every tensor."""
    shares = [size / max(float(size.max()), 1e-30) for size in sizes]
    loudest = np.maximum.reduce(shares).astype(np.float64)
    return np.asarray(np.minimum(1 / np.maximum(loudest, 1e-30), _LARGEST) ** strength)


def _scale_outputs(
    node: onnx.NodeProto, factors: NDArray[np.float64], constants: dict[str, NDArray[np.float64]]
) -> None:
    weight = constants[node.input[1]]
    shape = [1] * weight.ndim
    shape[0 if node.op_type == _NORM else output_axis(node)] = -1
    constants[node.input[1]] = weight * factors.reshape(shape)
    if len(node.input) > 2 and node.input[2]:
        constants[node.input[2]] = constants[node.input[2]] * factors


def _scale_inputs(
    node: onnx.NodeProto, factors: NDArray[np.float64], constants: dict[str, NDArray[np.float64]]
) -> None:
    weight = constants[node.input[1]]
    if node.op_type == _NORM:
        constants[node.input[3]] = constants[node.input[3]] * factors
    depthwise = node.op_type == "Conv" and attributes(node).get("group", 1) > 1
    shape = [1] * weight.ndim
    shape[0 if depthwise or node.op_type == _NORM else 1 - output_axis(node)] = -1
    constants[node.input[1]] = weight / factors.reshape(shape)


def _with_constants(graph: Graph, constants: Mapping[str, NDArray[np.float64]]) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(graph.proto)
    for item in model.graph.initializer:
        if item.name in constants:
            original = graph.constants[item.name]
            item.CopyFrom(numpy_helper.from_array(constants[item.name].astype(original.dtype), item.name))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _check_same(master: bytes, model: bytes, output: str, pictures: PictureSet) -> float:
    """Compare the embeddings of both; return the largest difference of a number."""
    before, after = (
        np.concatenate([values[output] for values in infer_tensors(data, pictures, [output])])
        for data in (master, model)
    )
    difference = float(np.abs(before - after).max())
    if not difference <= _TOLERANCE * float(np.linalg.norm(before, axis=1).max()):
        raise ExportError(
            f"after equalisation an embedding differs by {difference:.3g}, more than float32 rounding explains; "
            "the graph holds something this step does not know: leave it out (export/release.py --no-equalization)"
        )
    return difference
