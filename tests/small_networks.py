"""Small recognisers of convolutions, residual sums and a linear layer, made on the spot for the tests of the export.

The weights are random but scaled (He), the magnitude of an embedding rises with contrast: enough for questions of
arithmetic and structure. What quantisation does to a trained network is asked of the shipped one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

DIMENSION = 32

Change = Callable[[str, np.ndarray], np.ndarray]


class _Builder:
    def __init__(self, seed: int, activation: str, largest_slope: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.activation, self.largest_slope = activation, largest_slope
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def conv(self, source: str, name: str, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> str:
        spread = np.sqrt(2 / (inputs // groups * kernel * kernel))
        weight = self.rng.normal(0, spread, (outputs, inputs // groups, kernel, kernel)).astype(np.float32)
        bias = self.rng.normal(0, 0.05, outputs).astype(np.float32)
        names = [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        pad = kernel // 2 if kernel == 3 else 0
        self.nodes.append(
            helper.make_node("Conv", [source, *names], [name], name=f"node_{name}", strides=[stride] * 2,
                             pads=[pad] * 4, kernel_shape=[kernel] * 2, group=groups)
        )  # fmt: skip
        return name

    def act(self, source: str, channels: int) -> str:
        output = f"{source}_act"
        inputs = [source]
        if self.activation == "PRelu":
            slopes = self.rng.uniform(0.1, self.largest_slope, (channels, 1, 1)).astype(np.float32)
            inputs.append(self.constant(f"{source}.slope", slopes))
        self.nodes.append(helper.make_node(self.activation, inputs, [output], name=f"node_{output}"))
        return output

    def add(self, one: str, two: str, name: str) -> str:
        self.nodes.append(helper.make_node("Add", [one, two], [name], name=f"node_{name}"))
        return name


@functools.cache
def small_network(
    seed: int = 0,
    *,
    activation: str = "Relu",
    largest_slope: float = 0.9,
    outlier: float = 1.0,
    normalised: bool = False,
) -> bytes:
    """Return an ONNX file: `input` (N, 3, 112, 112) to `embedding` (N, 32); eight weighted layers, two residual sums.

    `outlier` multiplies one channel's weights, and divides what reads it: the function stays, a scale that all channels
    share does not fit any more.
    """
    b = _Builder(seed, activation, largest_slope)
    stem = b.act(b.conv("input", "stem", 3, 8, 3, 2), 8)
    first = b.act(b.conv(stem, "a1", 8, 8, 3, 1), 8)
    one = b.act(b.add(b.conv(first, "a2", 8, 8, 3, 1), stem, "a_sum"), 8)
    second = b.act(b.conv(one, "b1", 8, 16, 3, 2), 16)
    two = b.act(b.add(b.conv(second, "b2", 16, 16, 3, 1), b.conv(one, "b_shortcut", 8, 16, 1, 2), "b_sum"), 16)
    pooled = b.conv(two, "pool", 16, 16, 28, 1, groups=16)
    shape = b.constant("flat_shape", np.array([-1, 16]))
    b.nodes.append(helper.make_node("Reshape", [pooled, shape], ["flat"], name="node_flat"))
    weight = b.constant("project.weight", b.rng.normal(0, 1, (DIMENSION, 16)).astype(np.float32))
    bias = b.constant("project.bias", b.rng.normal(0, 0.01, DIMENSION).astype(np.float32))
    raw = "raw" if normalised else "embedding"
    b.nodes.append(helper.make_node("Gemm", ["flat", weight, bias], [raw], name="node_project", transB=1))
    if normalised:
        b.nodes.append(helper.make_node("LpNormalization", ["raw"], ["embedding"], name="node_norm", axis=1, p=2))
    if outlier != 1.0:
        _stretch(b.constants, outlier)
    graph = helper.make_graph(
        b.nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", DIMENSION])],
        b.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10, producer_name="tests")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _stretch(constants: list[onnx.TensorProto], factor: float) -> None:
    """Make channel 0 of layer a1 larger and the weights of a2 that read it smaller by the same factor."""
    for item in constants:
        values = np.array(numpy_helper.to_array(item))
        if item.name in ("a1.weight", "a1.bias"):
            values[0] *= factor
        elif item.name == "a2.weight":
            values[:, 0] /= factor
        else:
            continue
        item.CopyFrom(numpy_helper.from_array(values, item.name))


def small_pictures(count: int, seed: int = 0) -> np.ndarray:
    """Return BGR crops (count, 112, 112, 3): soft patterns of differing contrast."""
    rng = np.random.default_rng(seed)
    coarse = np.kron(rng.uniform(-1, 1, (count, 14, 14, 3)), np.ones((1, 8, 8, 1)))
    fine = rng.uniform(-1, 1, coarse.shape)
    contrast = rng.uniform(0.15, 1.0, (count, 1, 1, 1))
    return np.rint(127.5 + 127.5 * contrast * (0.8 * coarse + 0.2 * fine)).astype(np.uint8)


def embed(model: bytes, crops: np.ndarray, *, optimised: bool = True) -> np.ndarray:
    """Return the embeddings of BGR crops by ONNX Runtime on one thread."""
    return run_on_one_thread(model, to_input(crops), optimised=optimised)


def run_on_one_thread(model: bytes, inputs: np.ndarray, *, optimised: bool = True) -> np.ndarray:
    """Return the embeddings of network inputs by ONNX Runtime; without its optimisations node by node as written."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": inputs})[0]


def to_input(crops: np.ndarray) -> np.ndarray:
    """Return BGR crops as the input that the contract names: RGB, (x - 127.5) / 127.5, channels first."""
    return np.ascontiguousarray(((crops[..., ::-1].astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2))


def convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, pad: int, groups: int) -> np.ndarray:
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    parts = [
        np.einsum("nchwij,ocij->nohw", part, kernel, optimize=True)
        for part, kernel in zip(np.split(windows, groups, axis=1), np.split(weight, groups), strict=True)
    ]
    return np.concatenate(parts, axis=1) + bias[:, None, None]


def run_in_numpy(model: bytes, x: np.ndarray, store: Change, weigh: Change, shift: float = 0.0) -> np.ndarray:
    """Run `small_network()` in plain NumPy; `store` maps a tensor to what is kept of it, `weigh` a weight.

    `shift` is added to the input before it is stored, and taken back by the bias of the first layer.

    The stages are written out as the network's docstring names them, not read from the graph.
    """
    constants = {
        item.name: numpy_helper.to_array(item).astype(np.float64)
        for item in onnx.load_from_string(model).graph.initializer
    }

    def conv(name: str, source: np.ndarray, stride: int = 1, pad: int = 1, groups: int = 1) -> np.ndarray:
        return convolve(
            source, weigh(name, constants[f"{name}.weight"]), constants[f"{name}.bias"], stride, pad, groups
        )

    def relu(name: str, value: np.ndarray) -> np.ndarray:
        return store(name, np.maximum(value, 0))

    constants["stem.bias"] = constants["stem.bias"] - shift * constants["stem.weight"].sum(axis=(1, 2, 3))
    x = store("input", x.astype(np.float64) + shift)
    stem = relu("stem_act", conv("stem", x, 2))
    one = conv("a2", relu("a1_act", conv("a1", stem)))
    one = relu("a_sum_act", store("a2", one) + store("stem_act:shortcut", stem))
    two = conv("b2", relu("b1_act", conv("b1", one, 2)))
    two = relu("b_sum_act", store("b2", two) + store("b_shortcut", conv("b_shortcut", one, 2, 0)))
    flat = store("pool", conv("pool", two, 1, 0, 16)).reshape(len(x), -1)
    return flat @ weigh("project", constants["project.weight"]).T + constants["project.bias"]
