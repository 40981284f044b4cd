"""One float type for a graph, with the last layer in FP32: TensorRT 11 takes precision from the graph alone."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qcface_export.errors import ExportError
from qcface_export.onnx_graph import Graph, check_opset, rebuild

HALF_TYPES = {"fp16": (TensorProto.FLOAT16, 19, 9), "bf16": (TensorProto.BFLOAT16, 22, 10)}
"""Float type of the graph, opset and IR version that have it in every operator."""
_LARGEST_HALF = 65504.0


def with_half_floats(model: bytes, kind: str) -> bytes:
    """Return a model that computes in a 16-bit float up to its last weighted layer, which stays FP32.

    The length of an embedding carries the quality: FP16 has 11 bits for it, so the layer that makes it keeps 24. Input
    and output stay FP32.

    Parameters
    ----------
    model : bytes
        FP32 ONNX, with or without quantisation.
    kind : str
        ``fp16`` or ``bf16``.

    Raises
    ------
    ExportError
        If a weight does not fit the type or an operator has no such type.
    """
    element, opset, ir_version = HALF_TYPES[kind]
    graph = Graph(model)
    check_opset(graph.nodes, graph.proto.opset_import[0].version, opset)
    return _HalfWriter(graph, element).write(opset, ir_version)


class _HalfWriter:
    def __init__(self, graph: Graph, element: int) -> None:
        self._graph, self._element = graph, element
        self._numpy = np.dtype(np.float16 if element == TensorProto.FLOAT16 else ml_dtypes.bfloat16)
        self._constants: dict[str, onnx.TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._tail = self._tail_names()
        self._cast: dict[str, str] = {}

    def _tail_names(self) -> set[str]:
        """Return the last weighted layer, all behind it, and the DequantizeLinear nodes that feed it."""
        layers = [node for node in self._graph.nodes if node.op_type in ("Conv", "Gemm", "MatMul")]
        if not layers:
            raise ExportError("the graph has neither convolution nor linear layer; is it a recogniser?")
        tail = {layers[-1].name}
        reached = set(layers[-1].output)
        for node in self._graph.nodes:
            if any(name in reached for name in node.input):
                tail.add(node.name)
                reached.update(node.output)
        for name in layers[-1].input:
            maker = self._graph.maker(name)
            if maker is not None and maker.op_type == "DequantizeLinear":
                tail.add(maker.name)
        return tail

    def write(self, opset: int, ir_version: int) -> bytes:
        graph = self._graph
        inside = set(graph.activations())
        halves = {graph.input: self._add_cast(graph.input, self._element)}
        fulls = {graph.input}
        for node in graph.nodes:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            in_tail = node.name in self._tail
            for place, name in enumerate(node.input):
                if name in graph.constants:
                    copy.input[place] = self._constant(name, half=not in_tail)
                elif name in inside and not in_tail and name in halves:
                    copy.input[place] = halves[name]
                elif name in inside and in_tail and name in halves and name not in fulls and self._is_float(name):
                    copy.input[place] = self._add_cast(name, TensorProto.FLOAT)
            if not in_tail:
                halves.update({name: name for name in node.output})
            self._nodes.append(copy)
        return rebuild(graph.proto, self._nodes, self._constants, opset=opset, ir_version=ir_version)

    def _is_float(self, tensor: str) -> bool:
        maker = self._graph.maker(tensor)
        return maker is None or maker.op_type != "QuantizeLinear"

    def _add_cast(self, tensor: str, element: int) -> str:
        name = f"{tensor}_as_{TensorProto.DataType.Name(element).lower()}"
        if name not in self._cast:
            self._nodes.append(helper.make_node("Cast", [tensor], [name], name=f"{name}_node", to=element))
            self._cast[name] = tensor
        return name

    def _constant(self, name: str, *, half: bool) -> str:
        values = self._graph.constants[name]
        if not half or values.dtype != np.float32:
            self._constants[name] = numpy_helper.from_array(values, name)
            return name
        if self._element == TensorProto.FLOAT16 and values.size and np.abs(values).max() > _LARGEST_HALF:
            raise ExportError(f"weight {name!r} goes beyond {_LARGEST_HALF:g}, the largest FP16 number; use bf16")
        changed = f"{name}_half"
        self._constants[changed] = numpy_helper.from_array(values.astype(self._numpy), changed)
        return changed
