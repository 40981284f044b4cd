"""A small view of an ONNX graph: who makes a tensor, who reads it, which values are constant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from qcface_export.errors import ExportError

WEIGHTED = ("Conv", "Gemm")
"""Operators whose second input is a constant weight; what quantisation is about."""


class Graph:
    """The nodes of a model in their order, read only.

    Parameters
    ----------
    model : bytes
        ONNX file; all weights inside.

    Raises
    ------
    ExportError
        If it is no ONNX file, or a weight is not finite.
    """

    def __init__(self, model: bytes) -> None:
        try:
            proto = onnx.load_from_string(model)
            onnx.checker.check_model(proto)
        except Exception as error:
            raise ExportError(f"these {len(model):,} bytes are no valid ONNX file: {error}") from error
        self.proto = proto
        self.nodes: Sequence[onnx.NodeProto] = tuple(proto.graph.node)
        self.constants: Mapping[str, NDArray[Any]] = MappingProxyType(
            {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
        )
        for name, values in self.constants.items():
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                raise ExportError(f"weight {name!r} holds NaN or infinity; the model is damaged, export it again")
        self._makers = {output: node for node in self.nodes for output in node.output}
        self._shapes: dict[str, tuple[int | str, ...]] | None = None
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    @property
    def input(self) -> str:
        """Name of the picture tensor."""
        return str(self.proto.graph.input[0].name)

    @property
    def output(self) -> str:
        """Name of the embedding tensor."""
        return str(self.proto.graph.output[0].name)

    def maker(self, tensor: str) -> onnx.NodeProto | None:
        """Return the node that computes a tensor; None for inputs and constants."""
        return self._makers.get(tensor)

    def readers(self, tensor: str) -> Sequence[onnx.NodeProto]:
        """Return the nodes that read a tensor, in their order."""
        return self._readers.get(tensor, [])

    def data_inputs(self, node: onnx.NodeProto) -> list[str]:
        """Return a node's inputs that are not constant."""
        return [name for name in node.input if name and name not in self.constants]

    def weighted_nodes(self) -> list[onnx.NodeProto]:
        """Return the convolutions and linear layers, in their order."""
        return [node for node in self.nodes if node.op_type in WEIGHTED and node.input[1] in self.constants]

    def shape(self, tensor: str) -> tuple[int | str, ...] | None:
        """Return an activation's shape as far as it follows from the graph: numbers, and names where N is free."""
        if self._shapes is None:
            inferred = onnx.shape_inference.infer_shapes(self.proto).graph
            values = (*inferred.input, *inferred.value_info, *inferred.output)
            self._shapes = {
                item.name: tuple(
                    d.dim_value if d.HasField("dim_value") else d.dim_param for d in item.type.tensor_type.shape.dim
                )
                for item in values
            }
        return self._shapes.get(tensor)

    def activations(self) -> list[str]:
        """Return the float tensors that depend on the picture, in the order in which they are made."""
        inside = {self.input}
        ordered = [self.input]
        for node in self.nodes:
            if node.op_type != "Shape" and any(name in inside for name in node.input):
                inside.update(node.output)
                ordered += node.output
        return ordered


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes as Python values."""
    return {item.name: helper.get_attribute_value(item) for item in node.attribute}


def output_axis(node: onnx.NodeProto) -> int:
    """Return the axis of the output channels in a layer's weight."""
    return 0 if node.op_type == "Conv" or attributes(node).get("transB", 0) else 1


def check_node_names(graph: Graph, names: Iterable[str]) -> frozenset[str]:
    """Return `names` if each is a convolution or linear layer of the graph.

    Raises
    ------
    ExportError
        If one is not; the message lists those that are.
    """
    known = [node.name for node in graph.weighted_nodes()]
    wanted = frozenset(names)
    if missing := sorted(wanted - set(known)):
        raise ExportError(f"there is no layer {missing[0]!r}; the layers of this model are {', '.join(known)}")
    return wanted


def rebuild(
    source: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, onnx.TensorProto],
    *,
    opset: int,
    ir_version: int,
) -> bytes:
    """Return a model with the inputs and outputs of `source` and other nodes; constants that nobody reads are left out.

    Raises
    ------
    ExportError
        If ONNX's own checker refuses the result.
    """
    read = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        list(nodes),
        "qcface",
        list(source.graph.input),
        list(source.graph.output),
        [tensor for name, tensor in constants.items() if name in read],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
        producer_name="qcface_export",
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:
        raise ExportError(f"the graph that was made is not valid ONNX of opset {opset}: {error}") from error
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def check_opset(nodes: Iterable[onnx.NodeProto], source: int, target: int) -> None:
    """Check that operators mean the same in two opsets, so that the number alone may be changed.

    Raises
    ------
    ExportError
        If one was redefined between them in more than the types it takes.
    """
    for kind in sorted({node.op_type for node in nodes}):
        versions = [onnx.defs.get_schema(kind, opset, "").since_version for opset in (source, target)]
        if versions[0] != versions[1] and kind not in _WIDENED:
            raise ExportError(
                f"{kind} of opset {source} is not {kind} of opset {target}; export the master with opset {target}"
            )


# Redefined after opset 13 by further types alone (ONNX changelog), so old nodes keep their meaning.
_WIDENED = ("Reshape", "Cast", "Identity", "Conv", "Flatten", "Transpose", "Shape", "Squeeze", "Unsqueeze", "Constant",
            "QuantizeLinear", "DequantizeLinear", "MaxPool", "AveragePool", "GlobalAveragePool", "PRelu",
            "BatchNormalization")  # fmt: skip
