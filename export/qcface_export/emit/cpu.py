"""The INT8 file for ONNX Runtime on a CPU.

Activations are 8-bit with a zero point, weights signed 8-bit with a scale for each output channel, biases 32-bit. Every
convolution is followed by QuantizeLinear, so that ONNX Runtime makes one integer kernel of it; a Relu behind it goes
into the saturation at 0. Sums of two quantised tensors become integer sums. The embedding itself leaves the last layer
in float: its length is never put on a grid.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qcface_export.calibration_table import DEFAULT_PERCENTILE, CalibrationTable
from qcface_export.emit.pixels import PixelGrid, pixel_grid
from qcface_export.emit.prelu import prelu_as_max
from qcface_export.emit.quantization import (
    Scale,
    asymmetric_scale,
    least_weight_scales,
    quantize_bias,
    quantize_weight,
    weight_scales,
)
from qcface_export.onnx_graph import WEIGHTED, Graph, attributes, check_node_names, output_axis, rebuild

_OPSET, _IR_VERSION = 17, 8
# Operators that move numbers about and leave them as they are: the grid of their input is that of their output.
_MOVES = ("Reshape", "Flatten", "Transpose", "MaxPool", "Squeeze", "Unsqueeze")


def emit_cpu_int8(
    master: bytes,
    table: CalibrationTable,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    nodes_in_float: Collection[str] = (),
    per_channel: bool = True,
) -> bytes:
    """Return the file for x86-64: unsigned activations, signed weights.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    table : CalibrationTable
        Of this master.
    percentile : float
        One of the table's, or 100 for minimum and maximum.
    nodes_in_float : collection of str
        Names of convolutions and linear layers that stay in float.
    per_channel : bool
        One weight scale for each output channel; False makes one for each layer, which is worse.

    Raises
    ------
    CalibrationError
        If the table is of another model or lacks a tensor or the percentile.
    ExportError
        If the master is no usable ONNX file or a named layer does not exist.

    Notes
    -----
    Processors without VNNI (before 2019, roughly) add pairs of 8-bit products in 16 bits, which can saturate; run the
    gate on such a machine before using the file there.
    """
    return _emit(master, table, percentile, nodes_in_float, per_channel=per_channel, signed=False)


def emit_arm_int8(
    master: bytes,
    table: CalibrationTable,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    nodes_in_float: Collection[str] = (),
) -> bytes:
    """Return the file for 64-bit ARM: signed activations and weights.

    Written after ONNX Runtime's documentation (Quantize ONNX models: S8S8 with a symmetric weight is what its ARM64
    kernels take). Computed on x86-64 only; neither speed nor accuracy was measured on an ARM processor.

    Raises
    ------
    CalibrationError, ExportError
        As `emit_cpu_int8`.
    """
    return _emit(master, table, percentile, nodes_in_float, per_channel=True, signed=True)


def _emit(
    master: bytes,
    table: CalibrationTable,
    percentile: float,
    nodes_in_float: Collection[str],
    *,
    per_channel: bool,
    signed: bool,
) -> bytes:
    table.check_model(master)
    graph = Graph(prelu_as_max(master))
    floats = check_node_names(graph, nodes_in_float)
    plan = _Plan(graph, floats, table, percentile, signed=signed)
    return _Writer(graph, plan, per_channel=per_channel).write()


class _Plan:
    """Which nodes compute in integers, which tensors are stored in 8 bits and how."""

    def __init__(
        self, graph: Graph, floats: Collection[str], table: CalibrationTable, percentile: float, *, signed: bool
    ) -> None:
        self.graph = graph
        self.layers = {node.name for node in graph.weighted_nodes() if node.name not in floats and _is_plain(node)}
        self.scales: dict[str, Scale] = {}
        self.integer: set[str] = set()
        """Names of nodes whose result goes straight onto the grid."""
        self.dropped: dict[str, str] = {}
        """Output of a Relu that saturation replaces, to the tensor in front of it."""

        def store(tensor: str) -> None:
            low, high = table.limits(tensor, percentile)
            self.scales.setdefault(tensor, asymmetric_scale(low, high, signed=signed))

        inputs = {node.input[0] for node in graph.nodes if node.name in self.layers}
        self.pixels: PixelGrid | None = None
        if graph.input in inputs:
            self.pixels = pixel_grid(table.preprocessing)
            if self.pixels:
                zero = self.pixels.zero_pixel - (128 if signed else 0)
                self.scales[graph.input] = Scale(np.float32(self.pixels.step), zero, signed)
            else:
                store(graph.input)
        for node in graph.nodes:
            output = node.output[0]
            if output in self.dropped:
                continue
            sums = node.op_type == "Add" and all(name in self.scales for name in node.input)
            if (node.name in self.layers or sums) and output != graph.output:
                self.integer.add(node.name)
                store(self._behind_relu(output))
            elif node.op_type in _MOVES and node.input[0] in self.scales:
                self.scales[output] = self.scales[node.input[0]]
            elif output in inputs:
                store(output)

    def _behind_relu(self, tensor: str) -> str:
        readers = self.graph.readers(tensor)
        if len(readers) != 1 or readers[0].op_type != "Relu" or readers[0].output[0] == self.graph.output:
            return tensor
        output: str = readers[0].output[0]
        self.dropped[output] = tensor
        return output


def _is_plain(node: onnx.NodeProto) -> bool:
    """Whether ONNX Runtime has an integer kernel for these attributes."""
    values = attributes(node)
    return node.op_type != "Gemm" or (
        values.get("alpha", 1.0) == 1.0 and values.get("beta", 1.0) == 1.0 and not values.get("transA", 0)
    )


def shifted_bias(
    bias: NDArray[np.float32] | None, weight: NDArray[np.float32], axis: int, pixels: PixelGrid
) -> NDArray[np.float32]:
    """Return the bias that takes the shift of the pixels back; exact but for the zero padding at the border."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    taken = weight.astype(np.float64).sum(axis=others) * pixels.shift
    return np.asarray((0.0 if bias is None else bias) - taken, np.float32)


class _Writer:
    def __init__(self, graph: Graph, plan: _Plan, *, per_channel: bool) -> None:
        self._graph, self._plan, self._per_channel = graph, plan, per_channel
        self._nodes: list[onnx.NodeProto] = []
        self._constants = {item.name: item for item in graph.proto.graph.initializer}

    def write(self) -> bytes:
        graph, plan = self._graph, self._plan
        if graph.input in plan.scales:
            self._store(self._shifted_input(), graph.input)
        sources = {source: output for output, source in plan.dropped.items()}
        for node in graph.nodes:
            output = node.output[0]
            if output in plan.dropped:
                continue
            self._add(node)
            stored = sources.get(output, output)
            if stored in plan.scales:
                self._store(output, stored)
        return rebuild(graph.proto, self._nodes, self._constants, opset=_OPSET, ir_version=_IR_VERSION)

    def _shifted_input(self) -> str:
        name, pixels = self._graph.input, self._plan.pixels
        if pixels is None or pixels.shift == 0:
            return name
        shift = self._constant(f"{name}_shift", np.asarray(pixels.shift, np.float32))
        self._nodes.append(helper.make_node("Add", [name, shift], [f"{name}_shifted"], name=f"{name}_shifted_node"))
        return f"{name}_shifted"

    def _add(self, node: onnx.NodeProto) -> None:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        in_integers = node.name in self._plan.layers or node.name in self._plan.integer or node.op_type in _MOVES
        for place, name in enumerate(node.input):
            if name in self._plan.scales and (in_integers or not self._has_float(name)):
                copy.input[place] = f"{name}_dequantized"
                if node.op_type in WEIGHTED and not in_integers:
                    copy.input[place] = self._shield(name, node.name)
        if node.name in self._plan.layers:
            self._quantize_constants(copy)
        self._nodes.append(copy)

    def _shield(self, tensor: str, layer: str) -> str:
        """Put a Max with the lowest value of the grid, which changes nothing, before a layer that stays in float.

        ONNX Runtime (WeightBiasQuantization, since 1.20) quantises the weights of a float layer that it finds between
        DequantizeLinear and QuantizeLinear, one scale for the whole layer, and computes it in integers after all.
        """
        how = self._plan.scales[tensor]
        lowest = ((-128 if how.signed else 0) - how.zero_point) * float(how.scale)
        bound = self._constant(f"{tensor}_lowest", np.asarray(lowest, np.float32))
        output = f"{tensor}_for_{layer}"
        self._nodes.append(helper.make_node("Max", [f"{tensor}_dequantized", bound], [output], name=f"{output}_node"))
        return output

    def _has_float(self, tensor: str) -> bool:
        """Whether a tensor exists in float before it is put on the grid; float layers then read that."""
        maker = self._graph.maker(tensor)
        return tensor == self._graph.input or (
            maker is not None and maker.name not in self._plan.integer and tensor not in self._plan.dropped
            and maker.op_type not in _MOVES
        )  # fmt: skip

    def _store(self, source: str, stored: str) -> None:
        how = self._plan.scales[stored]
        scale = self._constant(f"{stored}_scale", np.asarray(how.scale, np.float32))
        zero = self._constant(f"{stored}_zero_point", np.asarray(how.zero_point, how.dtype))
        names = [f"{stored}_quantized", f"{stored}_dequantized"]
        for kind, before, after in (("QuantizeLinear", source, names[0]), ("DequantizeLinear", *names)):
            self._nodes.append(helper.make_node(kind, [before, scale, zero], [after], name=f"{after}_node"))

    def _quantize_constants(self, node: onnx.NodeProto) -> None:
        tensor = node.input[0].removesuffix("_dequantized")
        source = self._plan.scales[tensor].scale
        weight = self._graph.constants[node.input[1]].astype(np.float32)
        axis = output_axis(node) if self._per_channel else None
        has_bias = len(node.input) > 2 and node.input[2] in self._graph.constants
        bias = self._graph.constants[node.input[2]].astype(np.float32).ravel() if has_bias else None
        if tensor == self._graph.input and self._plan.pixels:
            bias = shifted_bias(bias, weight, output_axis(node), self._plan.pixels)
        least = least_weight_scales(bias, source) if bias is not None else None
        if axis is None and least is not None:
            least = least.max(keepdims=True)
        scales = weight_scales(weight, axis, least=least)
        integers = quantize_weight(weight, scales, axis)
        node.input[1] = self._dequantized(f"{node.name}_weight", integers, scales, axis)
        if bias is not None:
            steps = np.broadcast_to((source * scales).astype(np.float32), bias.shape)
            name = self._dequantized(f"{node.name}_bias", quantize_bias(bias, steps), np.array(steps), 0)
            if len(node.input) > 2:
                node.input[2] = name
            else:
                node.input.append(name)

    def _dequantized(
        self, name: str, integers: NDArray[np.int8] | NDArray[np.int32], scales: NDArray[np.float32], axis: int | None
    ) -> str:
        """Add a constant in integers with its DequantizeLinear; return the name of the float tensor."""
        data = self._constant(f"{name}_quantized", integers)
        scale = self._constant(f"{name}_scale", scales if axis is not None else scales.reshape(()))
        zero = self._constant(f"{name}_zero_point", np.zeros(scales.shape if axis is not None else (), integers.dtype))
        self._nodes.append(
            helper.make_node(
                "DequantizeLinear", [data, scale, zero], [f"{name}_float"], name=f"{name}_node", axis=axis or 0
            )
        )
        return f"{name}_float"

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name
