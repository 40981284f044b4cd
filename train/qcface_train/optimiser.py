"""The optimiser of a run, its four groups of parameters, and the running average of the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from qcface_train.arguments import RunArguments
from qcface_train.heads import CosineHead

HEAD_GROUP = 2
"""Number of the group that holds the class weights, which are spread over the processes."""
_OF_RECIPE = ("weight_decay", "momentum")
_FACTOR = "rate_factor"


def make_optimiser(run: RunArguments, model: nn.Module, gain: nn.Module, head: CosineHead) -> torch.optim.Optimizer:
    """Return the optimiser over: matrices and kernels, vectors, class weights, the final batch norm's gain and offset.

    Only the first and, if the recipe says so, the class weights decay; decay of the gain would fight ua.

    Notes
    -----
    The loss sees only the direction of a class weight. One of length L has a gradient of 1/L, so that a step of SGD
    turns it 1/L^2 as far as one of length 1. SGD's rate for class weights is therefore L^2 times the others', and
    their decay 1/L^2 of the recipe's: they turn just as class weights of length 1 would.
    """
    gain_parameters = list(gain.parameters())
    gain_ids = {id(parameter) for parameter in gain_parameters}
    body = [parameter for parameter in model.parameters() if id(parameter) not in gain_ids]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in body if p.ndim > 1], "weight_decay": run.weight_decay},
        {"params": [p for p in body if p.ndim <= 1]},
        {"params": list(head.parameters()), "weight_decay": run.head_decay},
        {"params": gain_parameters},
    ]
    if run.optimiser == "sgd":
        groups[HEAD_GROUP] |= {_FACTOR: head.length**2, "weight_decay": run.head_decay / head.length**2}
        return torch.optim.SGD(groups, lr=run.lr, momentum=run.momentum, weight_decay=0.0)
    return torch.optim.AdamW(groups, lr=run.lr, weight_decay=0.0, fused=True)


def optimiser_of(state: dict[str, Any]) -> str:
    """Return the recipe's name of the optimiser that a state is of."""
    return "adamw" if "betas" in state["param_groups"][0] else "sgd"


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load a state, but decay and momentum stay as the optimiser was made with, which is as the recipe says."""
    made = [dict(group) for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, own in zip(optimiser.param_groups, made, strict=True):
        group.update({key: own[key] for key in _OF_RECIPE if key in own})
        if _FACTOR not in group:  # its decay goes on without it too
            group["weight_decay"] *= own.get(_FACTOR, 1.0)


def set_rates(optimiser: torch.optim.Optimizer, rate: float, gain_factor: float) -> None:
    """Set every group's learning rate; the last group's is `gain_factor` times that of the backbone."""
    *others, gain = optimiser.param_groups
    for group in others:
        # A run of SGD that began before there was this factor goes on without it.
        group["lr"] = rate * group.get(_FACTOR, 1.0)
    gain["lr"] = rate * gain_factor


def gradient_norm(parameters: Iterable[nn.Parameter], device: torch.device) -> Tensor:
    """Return the length of all gradients together, on `device`; 0 where no parameter has one."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    # Without gradients PyTorch's own sum lies on the CPU, wherever the others are.
    return nn.utils.get_total_norm(gradients) if gradients else torch.zeros((), device=device)


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the running average's numbers a little towards the model's; counters are copied."""
    kept, current = list(average.state_dict().values()), list(model.state_dict().values())
    floats = [index for index, tensor in enumerate(kept) if tensor.is_floating_point()]
    torch._foreach_lerp_([kept[index] for index in floats], [current[index] for index in floats], 1 - decay)
    for index in set(range(len(kept))) - set(floats):
        kept[index].copy_(current[index])


def gather_head_state(state: dict[str, Any], whole: Any) -> dict[str, Any]:
    """Return an optimiser's state with the class weights' rows passed through `whole` (part to whole, or back)."""
    (index,) = state["param_groups"][HEAD_GROUP]["params"]
    entries = dict(state["state"])
    if index in entries:
        entries[index] = {
            name: whole(value) if isinstance(value, Tensor) and value.ndim > 1 else value
            for name, value in entries[index].items()
        }
    return {"state": entries, "param_groups": state["param_groups"]}
