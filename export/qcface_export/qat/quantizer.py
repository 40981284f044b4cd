"""A torchao quantizer (PT2E) that rounds where and how the TensorRT file does: signed, symmetric, zero point 0."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import fx, nn
from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, Quantizer, SharedQuantizationSpec
from torchao.quantization.pt2e.quantizer.quantizer import Q_ANNOTATION_KEY

from qcface_export.errors import ExportError
from qcface_export.onnx_from_torch import SIDE
from qcface_export.qat.placement import Placement
from qcface_export.qat.rounding import WEIGHT, LearnedStep, ShiftedPixels, activation

_LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)
_SUM = torch.ops.aten.add.Tensor


class SymmetricQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates inputs and weights of layers, and the shortcut of a residual sum; nothing else.

    A tensor that several of them read has one grid, as it has one range in the table.

    Parameters
    ----------
    placement : Placement
        Of the master that was exported from the same network.
    """

    def __init__(self, placement: Placement) -> None:
        super().__init__()
        self._placement = placement
        self._first: dict[str, tuple[fx.Node, fx.Node]] = {}

    def annotate(self, model: fx.GraphModule) -> fx.GraphModule:
        """Write down what to round; called by torchao."""
        self._first.clear()
        for node in model.graph.nodes:
            weight = _weight_of(node)
            inputs: dict[Any, Any] = {}
            if weight is not None and weight in self._placement.inputs:
                inputs[node.args[1]] = WEIGHT
                inputs[node.args[0]] = self._grid(self._placement.inputs[weight], node.args[0], node)
            elif node.target == _SUM:
                inputs = self._shortcut_of(node)
            if inputs:
                node.meta[Q_ANNOTATION_KEY] = QuantizationAnnotation(input_qspec_map=inputs, _annotated=True)
        return model

    def _shortcut_of(self, node: fx.Node) -> dict[Any, Any]:
        for main, other in (node.args[:2], node.args[1::-1]):
            tensor = self._placement.shortcuts.get(_weight_of(main) or "")
            if tensor is not None and isinstance(other, fx.Node):
                return {other: self._grid(tensor, other, node)}
        return {}

    def _grid(self, tensor: str, source: fx.Node, user: fx.Node) -> Any:
        first = self._first.setdefault(tensor, (source, user))
        if first[0] is not source:
            raise ExportError(
                f"{tensor!r} is one tensor of the master and two of the network ({first[0].name}, {source.name}); "
                "the network is not the one the master was exported from"
            )
        if first[1] is not user:
            return SharedQuantizationSpec(first)
        fixed = tensor == self._placement.picture and self._placement.pixels is not None
        return activation(self._placement.steps[tensor], learned=not fixed)

    def validate(self, model: fx.GraphModule) -> None:
        """Refuse a network that is not the master's: each layer and each sum must have been found.

        Raises
        ------
        ExportError
            If one was not.
        """
        annotated = [node for node in model.graph.nodes if Q_ANNOTATION_KEY in node.meta]
        layers = {_weight_of(node) for node in annotated} - {None}
        sums = sum(node.target == _SUM for node in annotated)
        if layers != set(self._placement.inputs) or sums != len(self._placement.shortcuts):
            raise ExportError(
                f"expected {len(self._placement.inputs)} layers and {len(self._placement.shortcuts)} residual sums as "
                f"in the master, got {len(layers)} and {sums}; the network is not the one the master was exported from"
            )


def _weight_of(node: Any) -> str | None:
    """Return the name of a layer's weight; None of anything else."""
    if isinstance(node, fx.Node) and node.target in _LAYERS:
        weight = node.args[1]
        if isinstance(weight, fx.Node) and weight.op == "get_attr":
            return str(weight.target)
    return None


def fake_quantized(network: nn.Module, placement: Placement) -> fx.GraphModule:
    """Return a network that rounds as the TensorRT file will, and lets gradients pass.

    Parameters
    ----------
    network : Module
        With folded batch norms (`fold_batch_norms`). Not modified; the result has its own parameters of equal names,
        and the exponents of the steps beside them.
    placement : Placement
        Of the network's master.

    Raises
    ------
    ExportError
        If the placement is of another network.
    """
    own: Any = copy.deepcopy(network).eval().requires_grad_(True)
    if placement.pixels is not None:
        own.stem[0] = ShiftedPixels(own.stem[0], placement.pixels.shift)
    example = torch.zeros(2, 3, SIDE, SIDE)
    # torch and torchao warn about their own internals; nothing of it is about this network.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(own, (example,), dynamic_shapes={"images": {0: torch.export.Dim("N", min=1)}})
        prepared: fx.GraphModule = prepare_qat_pt2e(program.module(), SymmetricQuantizer(placement))
    return prepared


def learned_steps(student: fx.GraphModule, placement: Placement) -> dict[str, float]:
    """Return the step of each tensor as it is now; those of the pixels are not among them.

    Parameters
    ----------
    student : GraphModule
        Of `fake_quantized`, with the same placement.
    """
    rounders = {
        name: module
        for name, module in student.named_modules(remove_duplicate=False)
        if isinstance(module, LearnedStep) and module.learned
    }
    steps: dict[str, float] = {}
    for node in student.graph.nodes:
        weight = _rounded_weight_of(node, student)
        rounder = rounders.get(str(node.args[0].target)) if weight is not None else None
        if weight is not None and rounder is not None:
            steps[placement.inputs[weight]] = float(rounder.step().detach())
        if node.target == _SUM:
            for main, other in (node.args[:2], node.args[1::-1]):
                tensor = placement.shortcuts.get(_rounded_weight_of(main, student) or "")
                rounder = rounders.get(str(getattr(other, "target", "")))
                if tensor is not None and rounder is not None:
                    steps[tensor] = float(rounder.step().detach())
    return steps


def _rounded_weight_of(node: Any, student: fx.GraphModule) -> str | None:
    """Return the name of the weight that a layer reads through its rounder; None of anything else."""
    if isinstance(node, fx.Node) and node.target in _LAYERS:
        rounder = node.args[1]
        if isinstance(rounder, fx.Node) and rounder.op == "call_module":
            weight = rounder.args[0]
            if isinstance(weight, fx.Node) and weight.op == "get_attr":
                return str(weight.target)
    return None
