"""The files for TensorRT, one for each precision, and the INT8 file with FP32 floats for OpenVINO and TensorRT 8.6.

Quantisation is explicit and stands where NVIDIA wants it: QuantizeLinear and DequantizeLinear at the *inputs* of
convolutions and linear layers and on the shortcut of a residual sum, nothing between a convolution and its activation,
8-bit symmetric with zero point 0, weights stored as integers with DequantizeLinear alone, biases in float.
"""

from __future__ import annotations

from collections.abc import Collection

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qcface_export.calibration_table import DEFAULT_PERCENTILE, CalibrationTable
from qcface_export.emit.cpu import shifted_bias
from qcface_export.emit.pixels import PixelGrid, pixel_grid
from qcface_export.emit.quantization import asymmetric_scale, quantize_weight, symmetric_scale, weight_scales
from qcface_export.emit.typed import HALF_TYPES, with_half_floats
from qcface_export.errors import CalibrationError, ExportError
from qcface_export.onnx_graph import Graph, check_node_names, check_opset, output_axis, rebuild

PRECISIONS = ("fp32", "fp16", "bf16", "int8", "int8-fp32", "fp8")
"""What `emit_trt` can make; ``int8`` and ``fp8`` compute the rest in FP16, ``int8-fp32`` in FP32."""
_QUANTISED = ("int8", "int8-fp32", "fp8")
_LOWEST_OPSET, _LOWEST_IR = 17, 8
_LARGEST_FP8 = 448.0


def emit_trt(
    master: bytes,
    table: CalibrationTable | None,
    precision: str,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    nodes_in_float: Collection[str] = (),
) -> bytes:
    """Return the strongly typed ONNX file of one precision.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    table : CalibrationTable or None
        Of this master; needed for ``int8``, ``int8-fp32`` and ``fp8``.
    precision : str
        One of `PRECISIONS`.
    percentile : float
        One of the table's, or 100 for minimum and maximum.
    nodes_in_float : collection of str
        Names of convolutions and linear layers that are not quantised.

    Returns
    -------
    bytes
        Input ``input`` and output ``embedding`` FP32 in every precision.

    Raises
    ------
    CalibrationError
        If the table is missing, of another model, or lacks a tensor or the percentile.
    ExportError
        If the precision is unknown, the master is no usable ONNX file or a named layer does not exist.

    Notes
    -----
    ``int8`` and ``int8-fp32`` hold the same integers and the same steps (all fit FP16 exactly), so what is proven of
    the second on a CPU holds for the first up to the rounding of its FP16 part.
    """
    if precision not in PRECISIONS:
        raise ExportError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if precision in HALF_TYPES:
        return with_half_floats(master, precision)
    if precision == "fp32":
        return _lowest_opset(master)
    if table is None:
        raise CalibrationError(f"{precision} needs a calibration table; make one with export/quantize.py")
    table.check_model(master)
    graph = Graph(master)
    writer = _Writer(graph, check_node_names(graph, nodes_in_float), table, percentile, eight=precision)
    model = writer.write()
    return model if precision == "int8-fp32" else with_half_floats(model, "fp16")


def emit_openvino_int8(
    master: bytes,
    table: CalibrationTable,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    nodes_in_float: Collection[str] = (),
) -> bytes:
    """Return the file for OpenVINO: the placement of TensorRT's, FP32 floats, unsigned activations with zero points.

    OpenVINO also runs ``int8-fp32``, equally fast; but what a Relu leaves has no sign, and a signed grid wastes one of
    its eight bits on it.

    Raises
    ------
    CalibrationError, ExportError
        As `emit_trt`.
    """
    table.check_model(master)
    graph = Graph(master)
    return _Writer(graph, check_node_names(graph, nodes_in_float), table, percentile, eight="uint8").write()


def _lowest_opset(model: bytes) -> bytes:
    graph = Graph(model)
    constants = {item.name: item for item in graph.proto.graph.initializer}
    opset, ir_version = _opset(graph)
    return rebuild(graph.proto, graph.nodes, constants, opset=opset, ir_version=ir_version)


def _opset(graph: Graph) -> tuple[int, int]:
    """Return opset 17, the last that TensorRT 8.6 reads, where it will do; else the master's own."""
    own: int = graph.proto.opset_import[0].version
    try:
        check_opset(graph.nodes, own, _LOWEST_OPSET)
    except ExportError:
        return own, graph.proto.ir_version
    return _LOWEST_OPSET, _LOWEST_IR


def residual_branches(graph: Graph) -> dict[str, str]:
    """Return, for each residual sum, the tensor of its shortcut: node name to tensor.

    A sum fuses with the convolution in front of it; of two convolutions with the one that lies deeper.
    """
    depth = {graph.input: 0}
    layers = {node.name for node in graph.weighted_nodes()}
    shortcuts: dict[str, str] = {}
    for node in graph.nodes:
        reached = max((depth[name] for name in node.input if name in depth), default=0)
        depth.update(dict.fromkeys(node.output, reached + (node.name in layers)))
        if node.op_type != "Add" or not all(name in depth for name in node.input):
            continue
        fusing = [name for name in node.input if _is_fusing(graph, name, layers)]
        if fusing:
            main = max(fusing, key=lambda name: depth[name])
            shortcuts[node.name] = next(name for name in node.input if name != main)
    return shortcuts


def _is_fusing(graph: Graph, tensor: str, layers: Collection[str]) -> bool:
    maker = graph.maker(tensor)
    return maker is not None and maker.name in layers and len(graph.readers(tensor)) == 1


class _Writer:
    def __init__(
        self, graph: Graph, floats: Collection[str], table: CalibrationTable, percentile: float, *, eight: str
    ) -> None:
        self._graph, self._table, self._percentile = graph, table, percentile
        self._fp8, self._unsigned = eight == "fp8", eight == "uint8"
        self._layers = {node.name for node in graph.weighted_nodes() if node.name not in floats}
        self._shortcuts = residual_branches(graph)
        self._nodes: list[onnx.NodeProto] = []
        self._constants = {item.name: item for item in graph.proto.graph.initializer}
        self._pixels = pixel_grid(table.preprocessing) if not self._fp8 else None
        self._wanted = {node.input[0] for node in graph.nodes if node.name in self._layers}
        self._wanted |= {shortcut for name, shortcut in self._shortcuts.items() if self._feeds_integers(name)}

    def _feeds_integers(self, name: str) -> bool:
        """Whether the convolution that a residual sum fuses with is quantised."""
        node = next(node for node in self._graph.nodes if node.name == name)
        main = next(tensor for tensor in node.input if tensor != self._shortcuts[name])
        maker = self._graph.maker(main)
        return maker is not None and maker.name in self._layers

    def write(self) -> bytes:
        graph = self._graph
        self._quantize(graph.input)
        for node in graph.nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            if node.name in self._layers:
                copy.input[0] = f"{node.input[0]}_dequantized"
                copy.input[1] = self._weight(node)
                if node.input[0] == graph.input and self._pixels:
                    self._take_shift_back(node, copy, self._pixels)
            elif node.name in self._shortcuts and self._feeds_integers(node.name):
                place = list(node.input).index(self._shortcuts[node.name])
                copy.input[place] = f"{node.input[place]}_dequantized"
            self._nodes.append(copy)
            for output in node.output:
                self._quantize(output)
        opset, ir_version = (19, 9) if self._fp8 else _opset(graph)
        return rebuild(graph.proto, self._nodes, self._constants, opset=opset, ir_version=ir_version)

    def _take_shift_back(self, node: onnx.NodeProto, copy: onnx.NodeProto, pixels: PixelGrid) -> None:
        constants = self._graph.constants
        bias = constants[node.input[2]] if len(node.input) > 2 else None
        changed = shifted_bias(bias, constants[node.input[1]], output_axis(node), pixels)
        name = self._constant(f"{node.name}_bias_for_shifted_pixels", changed)
        if len(copy.input) > 2:
            copy.input[2] = name
        else:
            copy.input.append(name)

    def _quantize(self, tensor: str) -> None:
        if tensor not in self._wanted:
            return
        source = tensor
        low, high = self._table.limits(tensor, self._percentile)
        if tensor == self._graph.input and self._pixels:
            # A pixel of 255 becomes 128, one step beyond the grid; it is stored as 254.
            low, high = -127 * self._pixels.step, 127 * self._pixels.step
            shift = self._constant(f"{tensor}_shift", np.asarray(self._pixels.shift, np.float32))
            source = f"{tensor}_shifted"
            self._nodes.append(helper.make_node("Add", [tensor, shift], [source], name=f"{source}_node"))
        step, zero_point = self._grid(tensor, low, high)
        scale = self._constant(f"{tensor}_scale", np.asarray(step, np.float32))
        zero = self._constant(f"{tensor}_zero_point", zero_point)
        names = [f"{tensor}_quantized", f"{tensor}_dequantized"]
        for kind, before, after in (("QuantizeLinear", source, names[0]), ("DequantizeLinear", *names)):
            self._nodes.append(helper.make_node(kind, [before, scale, zero], [after], name=f"{after}_node"))

    def _grid(self, tensor: str, low: float, high: float) -> tuple[np.float32, NDArray[np.generic]]:
        if self._fp8:
            step = np.float32(np.float16(max(abs(low), abs(high), 1e-3) / _LARGEST_FP8))
            return step, np.zeros((), ml_dtypes.float8_e4m3fn)
        if self._unsigned and tensor == self._graph.input and self._pixels:
            return np.float32(self._pixels.step), np.asarray(self._pixels.zero_pixel, np.uint8)
        if self._unsigned:
            how = asymmetric_scale(low, high)
            return how.scale, np.asarray(how.zero_point, np.uint8)
        return symmetric_scale(low, high, half=True).scale, np.zeros((), np.int8)

    def _weight(self, node: onnx.NodeProto) -> str:
        weight = self._graph.constants[node.input[1]].astype(np.float32)
        axis = None if self._fp8 else output_axis(node)
        name = f"{node.name}_weight"
        data: NDArray[np.generic]
        if self._fp8:
            scales = np.float32(np.float16(max(float(np.abs(weight).max()), 1e-3) / _LARGEST_FP8)).reshape(1)
            data = np.clip(weight / scales, -_LARGEST_FP8, _LARGEST_FP8).astype(ml_dtypes.float8_e4m3fn)
        else:
            # Where the floats are FP32, as in OpenVINO's file, so are the steps: rounded weights stay what they are.
            scales = weight_scales(weight, axis, half=not self._unsigned)
            data = quantize_weight(weight, scales, axis)
        inputs = [
            self._constant(f"{name}_quantized", data),
            self._constant(f"{name}_scale", scales if axis is not None else scales.reshape(())),
            self._constant(f"{name}_zero_point", np.zeros(scales.shape if axis is not None else (), data.dtype)),
        ]
        self._nodes.append(
            helper.make_node("DequantizeLinear", inputs, [f"{name}_float"], name=f"{name}_node", axis=axis or 0)
        )
        return f"{name}_float"

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name
