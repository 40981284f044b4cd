"""PReLU as operators with fast kernels: ONNX Runtime computes PRelu itself one number at a time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from qcface_export.errors import ExportError
from qcface_export.onnx_graph import Graph, rebuild


def prelu_as_max(model: bytes) -> bytes:
    """Return the model with every PRelu as ``Max(x, a x)``, or as ``a x + (1 - a) Relu(x)`` where a slope is above 1.

    Both are exact up to one rounding. A model without PRelu is returned as it is.

    Raises
    ------
    ExportError
        If the model is no ONNX file or a slope is no constant.
    """
    graph = Graph(model)
    if not any(node.op_type == "PRelu" for node in graph.nodes):
        return model
    constants = {item.name: item for item in graph.proto.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.op_type != "PRelu":
            nodes.append(node)
            continue
        slope = graph.constants.get(node.input[1])
        if slope is None:
            raise ExportError(f"the slope of {node.name!r} is no constant; export the model in evaluation mode")
        nodes += _as_max(node) if float(slope.max()) <= 1 else _as_sum(node)
        if float(slope.max()) > 1:
            rest = f"{node.output[0]}_rest"
            constants[rest] = numpy_helper.from_array(np.asarray(1 - slope, slope.dtype), rest)
    opset = next(item.version for item in graph.proto.opset_import if item.domain in ("", "ai.onnx"))
    return rebuild(graph.proto, nodes, constants, opset=opset, ir_version=graph.proto.ir_version)


def _as_max(node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
    (value, slope), (output,) = node.input, node.output
    yield helper.make_node("Mul", [value, slope], [f"{output}_scaled"], name=f"{node.name}_scale")
    yield helper.make_node("Max", [value, f"{output}_scaled"], [output], name=node.name)


def _as_sum(node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
    (value, slope), (output,) = node.input, node.output
    yield helper.make_node("Mul", [value, slope], [f"{output}_scaled"], name=f"{node.name}_scale")
    yield helper.make_node("Relu", [value], [f"{output}_positive"], name=f"{node.name}_relu")
    yield helper.make_node("Mul", [f"{output}_positive", f"{output}_rest"], [f"{output}_more"], name=f"{node.name}_mul")
    yield helper.make_node("Add", [f"{output}_scaled", f"{output}_more"], [output], name=node.name)
