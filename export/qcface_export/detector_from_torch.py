"""Turn a trained detector into an ONNX file with YuNet's inputs and outputs.

The graph is written node by node: sizes stay symbolic without any shape arithmetic, which keeps it loadable by OpenCV's
FaceDetectorYN and leaves nothing for a runtime to fold.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from qcface_train.detector.layout import CHANNELS, KINDS, STRIDES
from qcface_train.detector.network import INPUT_SCALE, RAW_CHANNELS, ConvBlock, Detector, PlainResidual, WideResidual

OPSET = 13
IR_VERSION = 8


class _Graph:
    """Nodes and weights of one growing ONNX graph; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """Store a weight once."""
        if all(weight.name != name for weight in self.weights):
            self.weights.append(numpy_helper.from_array(value, name))
        return name

    def add(self, operator: str, inputs: list[str], result: str, **attributes: Any) -> str:
        """Append one node with one output."""
        self.nodes.append(helper.make_node(operator, inputs, [result], name=result, **attributes))
        return result

    def convolution(self, layer: nn.Conv2d, source: str, name: str) -> str:
        """Append a convolution with bias."""
        if layer.bias is None:
            raise ValueError(f"convolution {name} has no bias; fold its batch norm first")
        weight = self.constant(f"{name}.weight", layer.weight.detach().numpy())
        bias = self.constant(f"{name}.bias", layer.bias.detach().numpy())
        pad_y, pad_x = (size // 2 for size in layer.kernel_size)
        return self.add(
            "Conv",
            [source, weight, bias],
            name,
            kernel_shape=list(layer.kernel_size),
            strides=list(layer.stride),
            pads=[pad_y, pad_x, pad_y, pad_x],
            group=layer.groups,
        )

    def block(self, block: nn.Module, source: str, name: str) -> str:
        """Append any of the network's blocks."""
        if isinstance(block, ConvBlock):
            result = self.convolution(_folded(block), source, name)
            return self.add("Relu", [result], f"{name}.relu") if len(block) == 3 else result
        if isinstance(block, (PlainResidual, WideResidual)):
            return self.add("Add", [source, self.block(block.body, source, f"{name}.body")], f"{name}.sum")
        if isinstance(block, nn.Sequential):
            for index, part in enumerate(block):
                source = self.block(part, source, f"{name}.{index}")
            return source
        raise TypeError(f"wanted a block of the detector, got {type(block).__name__}; teach the export about it")

    def doubled(self, source: str, name: str) -> str:
        """Append a nearest-neighbour enlargement by two."""
        scales = self.constant("double", np.array([1, 1, 2, 2], np.float32))
        return self.add(
            "Resize",
            [source, "", scales],
            name,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )


def _folded(block: ConvBlock) -> nn.Conv2d:
    convolution, norm = block[0], block[1]
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise TypeError("wanted a convolution followed by a batch norm; the block's layout has changed")
    return fuse_conv_bn_eval(convolution, norm)


def detector_to_onnx(network: Detector) -> onnx.ModelProto:
    """Build the ONNX model of a detector.

    Parameters
    ----------
    network : Detector
        Not modified. Batch norms are folded and the input scale goes into the first convolution.

    Returns
    -------
    onnx.ModelProto
        Input ``input`` (batch, 3, height, width) float32 BGR 0..255 with sides that are multiples of 32; outputs
        ``cls_8`` .. ``kps_32`` (batch, cells, 1 | 1 | 4 | 10).
    """
    network = copy.deepcopy(network).to(memory_format=torch.contiguous_format).float().eval()  # type: ignore[call-overload]
    first = network.stage8[0][0]  # type: ignore[index]
    with torch.no_grad():
        first.weight.mul_(INPUT_SCALE)
    graph = _Graph()
    level8 = graph.block(network.stage8, "input", "stage8")
    level16 = graph.block(network.stage16, level8, "stage16")
    level32 = graph.block(network.stage32, level16, "stage32")
    low, middle, top = (
        graph.block(block, level, f"lateral{stride}")
        for block, level, stride in zip(network.lateral, (level8, level16, level32), STRIDES, strict=True)
    )
    middle = graph.add("Add", [middle, graph.doubled(top, "top.doubled")], "middle")
    low = graph.add("Add", [low, graph.doubled(middle, "middle.doubled")], "low")
    for head, reader, level, stride in zip(network.heads, network.readers, (low, middle, top), STRIDES, strict=True):
        features = graph.block(head, level, f"head{stride}")
        _write_outputs(graph, graph.convolution(reader, features, f"reader{stride}"), stride)  # type: ignore[arg-type]
    return _model(graph)


def _write_outputs(graph: _Graph, maps: str, stride: int) -> None:
    """Split the 15 channels of one level into its four named outputs."""
    rows = graph.add("Transpose", [maps], f"rows{stride}", perm=[0, 2, 3, 1])
    shape = graph.constant("cells", np.array([0, -1, RAW_CHANNELS], np.int64))
    cells = graph.add("Reshape", [rows, shape], f"cells{stride}")
    axis = graph.constant("axis", np.array([2], np.int64))
    edges = (0, 1, 5, RAW_CHANNELS)
    names = (f"logit_{stride}", f"bbox_{stride}", f"kps_{stride}")
    for name, start, stop in zip(names, edges[:-1], edges[1:], strict=True):
        bounds = [graph.constant(f"edge{edge}", np.array([edge], np.int64)) for edge in (start, stop)]
        graph.add("Slice", [cells, *bounds, axis], name)
    graph.add("Sigmoid", [f"logit_{stride}"], f"cls_{stride}")
    graph.add("Sigmoid", [f"logit_{stride}"], f"obj_{stride}")


def _model(graph: _Graph) -> onnx.ModelProto:
    source = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, "height", "width"])
    results = [
        helper.make_tensor_value_info(
            f"{kind}_{stride}", TensorProto.FLOAT, ["batch", f"cells_{stride}", CHANNELS[kind]]
        )
        for kind in KINDS
        for stride in STRIDES
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "qcface_detector", [source], results, graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="qcface_export",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def detector_from_checkpoint(path: Path) -> Detector:
    """Read the averaged weights of a training checkpoint."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    network = Detector()
    network.load_state_dict(state["average"])
    return network.eval()


def export_detector(checkpoint: Path, output: Path) -> int:
    """Write the ONNX file of a checkpoint; return its size in bytes."""
    data = detector_to_onnx(detector_from_checkpoint(checkpoint)).SerializeToString()
    scratch = output.with_name(output.name + ".new")
    scratch.write_bytes(data)
    scratch.replace(output)
    return len(data)
