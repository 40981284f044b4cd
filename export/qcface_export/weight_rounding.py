"""Round the weights of a network to 8 bits so that its layers' outputs move least, not the weights themselves.

Rounding each weight to the nearest step adds errors that do not know of each other. Here the columns of a layer's
weight are rounded one after the other, and what one column lost is made good by those still to come, as far as their
inputs go together on real faces; neighbouring pixels and channels mostly do. Frantar et al., GPTQ: Accurate
Post-Training Quantization for Generative Pre-trained Transformers, ICLR 2023 (arXiv 2210.17323), section 3, on
convolutions.

The result is again a float network. Each output channel's weights are whole multiples of its largest weight / 127, so
every 8-bit form of it holds exactly these weights, and only activations remain to be rounded. TensorRT's forms alone
round each channel's step to what FP16 can hold, by 0.05 % at most; their integers are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from onnx import numpy_helper

from qcface_export.calibration import infer_tensors
from qcface_export.emit.quantization import weight_scales
from qcface_export.errors import ExportError
from qcface_export.onnx_graph import Graph, attributes, output_axis
from qcface_export.pictures import PictureSet
from qcface_export.proof.magnitudes import measure_embeddings

LEAST_COSINE = 0.9995
"""Mean cosine between a network's embeddings before and after; below it the network does not stand 8-bit weights."""
_PLACES = 150
"""Places of each picture's feature map whose inputs are looked at."""
_DAMPING = 0.01
"""Added to the variance of each input, in mean variances: inputs that seem to go together exactly may not elsewhere."""
_BLOCK = 64
_STEPS = 127.0
_BATCH = 16

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rounded:
    """A network whose weights stand on grids of 8 bits."""

    model: bytes
    """FP32 ONNX."""
    layers: int
    """Layers that were rounded."""
    error_ratio: float
    """Mean over layers: error of their outputs on the pictures, in relation to rounding each weight to the nearest."""
    cosine_mean: float
    """Mean cosine between the embeddings before and after."""
    norm_error_p95: float
    """95th percentile of the magnitude's relative error."""

    def __str__(self) -> str:
        return (
            f"weights of {self.layers} layers rounded to 8 bits: outputs move {100 * self.error_ratio:.0f} % as much "
            f"as by rounding to the nearest; embeddings: mean cosine {self.cosine_mean:.5f}, magnitudes within "
            f"{100 * self.norm_error_p95:.2f} % for 95 % of the faces"
        )


def round_weights(master: bytes, pictures: PictureSet, *, seed: int = 0) -> Rounded:
    """Round the weights of a master's convolutions and linear layers; its biases stay as they are.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    pictures : PictureSet
        Aligned crops like those the network will see.
    seed : int
        Draws the places of the feature maps that are looked at.

    Raises
    ------
    ExportError
        If the master is no usable ONNX file, or the result embeds too differently.
    CalibrationError
        If an activation is not finite.
    """
    graph = Graph(master)
    moments = _input_moments(master, graph, pictures, seed)
    rounded: dict[str, NDArray[np.float32]] = {}
    ratios = []
    for node in graph.weighted_nodes():
        weight, axis = graph.constants[node.input[1]], output_axis(node)
        rows = _as_rows(weight, axis)
        steps = weight_scales(weight, axis).astype(np.float64)
        moment = moments[node.name]
        found = round_rows(rows, moment, steps)
        rounded[node.input[1]] = _from_rows(found, weight, axis)
        nearest = np.clip(np.rint(rows / steps[:, None]), -_STEPS, _STEPS) * steps[:, None]
        ratios.append(_output_error(found - rows, moment) / max(_output_error(nearest - rows, moment), 1e-300))
    model = _with_weights(graph, rounded)
    before, after = (_embed(data, graph.output, pictures) for data in (master, model))
    figures = measure_embeddings(before, after)
    cosine = float(figures["cosine_mean"])
    if not cosine >= LEAST_COSINE:
        raise ExportError(
            f"with 8-bit weights embeddings have a mean cosine of {cosine:.5f} to those before, wanted {LEAST_COSINE}; "
            "leave this step out (export/release.py --no-rounding)"
        )
    return Rounded(model, len(rounded), float(np.mean(ratios)), cosine, float(figures["norm_error_p95"]))


def round_rows(rows: Doubles, moment: Doubles, steps: Doubles) -> Doubles:
    """Round the weights of a layer, column by column, each making good what those before lost.

    Parameters
    ----------
    rows : ndarray of float64, shape (O, K)
        Weights of each output.
    moment : ndarray of float64, shape (K, K) or (O, K, K)
        Sums of products of the inputs over many places; one for all outputs, or each output's own.
    steps : ndarray of float64, shape (O,)
        Grid of each output: its largest weight / 127.

    Returns
    -------
    ndarray of float64, shape (O, K)
        Whole multiples of the steps, from -127 to 127; the largest weight of each output stays, and so does the grid.
    """
    if moment.ndim == 3:
        parts = zip(rows, moment, steps, strict=True)
        return np.concatenate([round_rows(row[None], own, step[None]) for row, own, step in parts])
    count = rows.shape[1]
    damped = moment + np.eye(count) * (_DAMPING * np.trace(moment) / count + 1e-12)
    order = np.argsort(-np.diag(moment), kind="stable")  # loud inputs first: many are left to make good what they lose
    # Upper U with inverse = U^T U: row j says how the columns after j take over what column j lost.
    upper = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = rows[:, order].copy()
    largest = np.abs(left).argmax(axis=1)
    found = np.empty_like(left)
    outputs = np.arange(len(rows))
    for start in range(0, count, _BLOCK):
        stop = min(count, start + _BLOCK)
        lost = np.empty((len(rows), stop - start))
        for column in range(start, stop):
            integers = np.clip(np.rint(left[:, column] / steps), -_STEPS, _STEPS)
            keeps = largest == column
            integers[keeps] = _STEPS * np.sign(rows[:, order][outputs[keeps], column])
            found[:, column] = integers * steps
            lost[:, column - start] = (left[:, column] - found[:, column]) / upper[column, column]
            left[:, column:stop] -= lost[:, column - start, None] * upper[column, column:stop]
        left[:, stop:] -= lost @ upper[start:stop, stop:]
    back: Doubles = np.empty_like(found)
    back[:, order] = found
    return back


def _output_error(difference: Doubles, moment: Doubles) -> float:
    """Return the sum of squares by which a layer's outputs move."""
    if moment.ndim == 3:
        return float(np.einsum("oi,oij,oj->", difference, moment, difference))
    return float(np.sum((difference @ moment) * difference))


def _input_moments(master: bytes, graph: Graph, pictures: PictureSet, seed: int) -> dict[str, Doubles]:
    """Return each layer's sums of products of its inputs, (K, K), or (O, K, K) where outputs read different ones."""
    rng = np.random.default_rng(seed)
    nodes = graph.weighted_nodes()
    moments: dict[str, Doubles] = {}
    for values in infer_tensors(master, pictures, sorted({node.input[0] for node in nodes})):
        for node in nodes:
            inputs = _inputs(values[node.input[0]], node, graph.constants[node.input[1]], rng)
            found = (inputs.transpose(0, 2, 1) @ inputs).astype(np.float64)
            if len(found) > 1:
                found = np.repeat(found, len(graph.constants[node.input[1]]) // len(found), axis=0)
            moments[node.name] = moments[node.name] + found if node.name in moments else found
    return {name: moment[0] if len(moment) == 1 else moment for name, moment in moments.items()}


def _inputs(
    values: NDArray[np.float32], node: onnx.NodeProto, weight: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return what a layer multiplies its weights with, at some places: (groups, places, K)."""
    if node.op_type == "Gemm":
        return values.reshape(1, len(values), -1)
    details: dict[str, Any] = attributes(node)
    top, left, bottom, right = details.get("pads", [0, 0, 0, 0])
    down, across = details.get("strides", [1, 1])
    padded = np.pad(values, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(padded, weight.shape[2:], axis=(2, 3))[:, :, ::down, ::across]
    height, width = windows.shape[2:4]
    places = rng.permutation(height * width)[:_PLACES]
    chosen = windows[:, :, places // width, places % width]  # (N, C, places, kh, kw)
    groups = details.get("group", 1)
    by_group = chosen.reshape(len(values), groups, -1, *chosen.shape[2:]).transpose(1, 0, 3, 2, 4, 5)
    return np.ascontiguousarray(by_group).reshape(groups, -1, weight[0].size)


def _as_rows(weight: NDArray[np.float32], axis: int) -> Doubles:
    return np.asarray(np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1), np.float64)


def _from_rows(rows: Doubles, weight: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    moved = np.moveaxis(weight, axis, 0).shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis), np.float32)


def _with_weights(graph: Graph, weights: dict[str, NDArray[np.float32]]) -> bytes:
    model = onnx.ModelProto()
    model.CopyFrom(graph.proto)
    for item in model.graph.initializer:
        if item.name in weights:
            item.CopyFrom(numpy_helper.from_array(weights[item.name], item.name))
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _embed(model: bytes, output: str, pictures: PictureSet) -> NDArray[np.float32]:
    found: Sequence[NDArray[np.float32]] = [values[output] for values in infer_tensors(model, pictures, [output])]
    return np.concatenate(found)
