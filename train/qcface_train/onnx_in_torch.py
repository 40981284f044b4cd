"""Run an ONNX network with PyTorch, so that a teacher works on any device that PyTorch knows, without another runtime.

It knows the operators of face embedding networks (opset 13 to 18), float32, and no training.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Operator = Callable[..., Any]


class UnsupportedGraphError(ValueError):
    """A network with an operator, or a use of one, that is not known here."""


class OnnxInTorch:
    """One ONNX graph with one input and one output.

    Parameters
    ----------
    nodes : list of (str, inputs, outputs, attributes)
        In order of execution.
    constants : dict of str to Tensor
        Weights.
    source, result : str
        Names of the graph's input and output.
    """

    def __init__(
        self,
        nodes: list[tuple[str, list[str], list[str], dict[str, Any]]],
        constants: dict[str, Tensor],
        source: str,
        result: str,
    ) -> None:
        self._nodes, self._constants, self._source, self._result = nodes, constants, source, result

    @classmethod
    def load(cls, path: Path) -> OnnxInTorch:
        """Read a file.

        Raises
        ------
        UnsupportedGraphError
            If it holds an operator that is not known here; the message names all of them.
        """
        import onnx
        from onnx import numpy_helper

        graph = onnx.load(str(path)).graph
        unknown = sorted({node.op_type for node in graph.node} - set(_OPERATORS))
        if unknown:
            raise UnsupportedGraphError(f"operators not known: {', '.join(unknown)}")
        constants = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
        nodes = []
        for node in graph.node:
            attributes = {item.name: _attribute(onnx.helper.get_attribute_value(item)) for item in node.attribute}
            nodes.append((node.op_type, list(node.input), list(node.output), attributes))
        return cls(nodes, constants, graph.input[0].name, graph.output[0].name)

    def to(self, device: torch.device) -> OnnxInTorch:
        """Return the network on a device. Whole-number constants, which are shapes and indices, stay on the CPU."""
        moved = {
            name: value.to(device) if value.is_floating_point() and value.ndim else value
            for name, value in self._constants.items()
        }
        return OnnxInTorch(self._nodes, moved, self._source, self._result)

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Run the network on inputs of the shape it was made for; any batch if that is free."""
        values: dict[str, Any] = {"": None, **self._constants, self._source: inputs}
        for kind, names, outputs, attributes in self._nodes:
            result = _OPERATORS[kind](*(_on(values[name], inputs.device) for name in names), **attributes)
            results = result if isinstance(result, (tuple, list)) else (result,)
            values.update(zip(outputs, results, strict=False))
        output: Tensor = values[self._result]
        return output


def _on(value: Any, device: torch.device) -> Any:
    # Numbers that a graph computes from constants must meet the pictures where those are.
    return value.to(device) if isinstance(value, Tensor) and value.is_floating_point() and value.ndim else value


def _attribute(value: Any) -> Any:
    from onnx import TensorProto, numpy_helper

    if isinstance(value, TensorProto):
        return torch.from_numpy(numpy_helper.to_array(value).copy())
    return value.decode() if isinstance(value, bytes) else value


_KINDS = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64}


def _whole(values: Tensor) -> list[int]:
    return [int(value) for value in values.tolist()]


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, **a: Any) -> Tensor:
    if a.get("auto_pad", "NOTSET") != "NOTSET" or x.ndim != 4:
        raise UnsupportedGraphError("Conv with automatic padding, or not of pictures")
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, [left, right, top, bottom]), 0, 0
    return F.conv2d(x, weight, bias, a.get("strides", 1), (top, left), a.get("dilations", 1), a.get("group", 1))


def _gemm(a: Tensor, b: Tensor, c: Tensor | None = None, **k: Any) -> Tensor:
    a, b = a.T if k.get("transA") else a, b.T if k.get("transB") else b
    result: Tensor = k.get("alpha", 1.0) * (a @ b)
    return result if c is None else result + k.get("beta", 1.0) * c


def _layer_norm(
    x: Tensor, scale: Tensor, bias: Tensor | None = None, axis: int = -1, epsilon: float = 1e-5, **_: Any
) -> Tensor:
    return F.layer_norm(x, x.shape[axis if axis >= 0 else x.ndim + axis :], scale, bias, epsilon)


def _batch_norm(
    x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, epsilon: float = 1e-5, **_: Any
) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


def _reshape(x: Tensor, shape: Tensor, allowzero: int = 0) -> Tensor:
    sizes = _whole(shape)
    return x.reshape([x.shape[i] if size == 0 and not allowzero else size for i, size in enumerate(sizes)])


def _slice(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    places: list[Any] = [slice(None)] * x.ndim
    chosen = list(range(len(starts))) if axes is None else _whole(axes)
    strides = [1] * len(starts) if steps is None else _whole(steps)
    for axis, start, end, step in zip(chosen, _whole(starts), _whole(ends), strides, strict=True):
        if step < 1:
            raise UnsupportedGraphError("Slice that goes backwards")
        places[axis] = slice(start, min(end, 2**31), step)
    return x[tuple(places)]


def _gather(x: Tensor, indices: Tensor, axis: int = 0) -> Tensor:
    indices = torch.where(indices < 0, indices + x.shape[axis], indices).to(x.device)
    picked = x.index_select(axis, indices.reshape(-1))
    axis = axis if axis >= 0 else x.ndim + axis
    return picked.reshape([*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]])


def _unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    for axis in sorted(axis if axis >= 0 else axis + x.ndim + len(axes) for axis in _whole(axes)):
        x = x.unsqueeze(axis)
    return x


def _split(x: Tensor, sizes: Tensor | None = None, axis: int = 0, num_outputs: int = 0) -> tuple[Tensor, ...]:
    if sizes is None:
        return x.chunk(num_outputs, axis)
    parts: tuple[Tensor, ...] = torch.split(x, _whole(sizes), axis)
    return parts


def _reduce_l2(x: Tensor, axes: Any = None, keepdims: int = 1, **_: Any) -> Tensor:
    places = _whole(axes) if isinstance(axes, Tensor) else axes
    length: Tensor = torch.linalg.vector_norm(x, dim=places, keepdim=bool(keepdims))
    return length


def _cumsum(x: Tensor, axis: Tensor, exclusive: int = 0, reverse: int = 0) -> Tensor:
    if exclusive or reverse:
        raise UnsupportedGraphError("CumSum that is exclusive or reversed")
    return x.cumsum(int(axis))


def _constant_of_shape(shape: Tensor, value: Tensor | None = None) -> Tensor:
    return torch.full(
        _whole(shape), 0.0 if value is None else value.item(), dtype=None if value is None else value.dtype
    )


def _div(a: Tensor, b: Tensor) -> Tensor:
    if a.is_floating_point():
        return a / b
    return torch.div(a, b, rounding_mode="trunc")


def _constant(**a: Any) -> Tensor:
    value = a.get("value", a.get("value_ints", a.get("value_floats", a.get("value_int", a.get("value_float")))))
    return torch.as_tensor(value)


_OPERATORS: dict[str, Operator] = {
    "Add": lambda a, b: a + b,
    "BatchNormalization": _batch_norm,
    "Cast": lambda x, to, **_: x.to(_KINDS[to]),
    "Clip": lambda x, low=None, high=None: torch.clamp(x, low, high),
    "Concat": lambda *parts, axis: torch.cat(parts, axis),
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Conv": _conv,
    "Cos": torch.cos,
    "CumSum": _cumsum,
    "Div": _div,
    "Erf": torch.erf,
    "Expand": lambda x, shape: x * x.new_ones(_whole(shape)),
    "Flatten": lambda x, axis=1: x.reshape(int(torch.tensor(x.shape[:axis]).prod()), -1),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x: x.mean(dim=(2, 3), keepdim=True),
    "Identity": lambda x: x,
    "LayerNormalization": _layer_norm,
    "MatMul": lambda a, b: a @ b,
    "Mul": lambda a, b: a * b,
    "Not": torch.logical_not,
    "PRelu": lambda x, slope: torch.where(x < 0, x * slope, x),
    "ReduceL2": _reduce_l2,
    "Relu": torch.relu,
    "Reshape": _reshape,
    "Shape": lambda x, start=0, end=None: torch.tensor(x.shape[start:end], dtype=torch.int64),
    "Sigmoid": torch.sigmoid,
    "Sin": torch.sin,
    "Slice": _slice,
    "Softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "Split": _split,
    "Sqrt": torch.sqrt,
    "Squeeze": lambda x, axes=None: x.squeeze() if axes is None else x.squeeze(tuple(_whole(axes))),
    "Sub": lambda a, b: a - b,
    "Tanh": torch.tanh,
    "Transpose": lambda x, perm: x.permute(perm),
    "Unsqueeze": _unsqueeze,
}
"""By ONNX name."""
