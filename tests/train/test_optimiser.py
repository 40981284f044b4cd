"""Groups of parameters, the running average, and class weights that change hands."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

from qcface_train.arguments import ModelArguments, RunArguments  # noqa: E402
from qcface_train.backbone import build_backbone  # noqa: E402
from qcface_train.heads import CosineHead  # noqa: E402
from qcface_train.optimiser import (  # noqa: E402
    HEAD_GROUP,
    gather_head_state,
    gradient_norm,
    make_optimiser,
    move_average,
    set_rates,
)


@pytest.mark.parametrize(("name", "turn"), [("adamw", 1.0), ("sgd", 512.0)])
def test_optimiser_has_every_parameter_once_and_decays_matrices_only(name: str, turn: float) -> None:
    model = build_backbone(ModelArguments(widths=(4, 4, 4, 8, 8), blocks=(1, 1, 1, 1), neck=8))
    head = CosineHead(5, 512)
    run = RunArguments(optimiser=name, weight_decay=0.1, head_decay=0.2)
    optimiser = make_optimiser(run, model, model.final_bn, head)
    found = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    wanted = [*model.parameters(), *head.parameters()]
    assert sorted(map(id, found)) == sorted(map(id, wanted))
    decays = [group["weight_decay"] for group in optimiser.param_groups]
    assert decays == pytest.approx([0.1, 0.0, 0.2 / turn, 0.0])
    assert {id(p) for p in optimiser.param_groups[3]["params"]} == {id(p) for p in model.final_bn.parameters()}
    assert all(parameter.ndim > 1 for parameter in optimiser.param_groups[0]["params"])
    set_rates(optimiser, 0.5, 10)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.5, 0.5, 0.5 * turn, 5.0])


def test_sgd_turns_class_weights_as_if_they_had_length_1() -> None:
    torch.manual_seed(2)
    head, body = CosineHead(7, 512), nn.BatchNorm1d(512)
    unit = nn.Parameter(F.normalize(head.weight.detach(), dim=1))
    plain = torch.optim.SGD([unit], lr=0.1, momentum=0.9, weight_decay=0.05)
    ours = make_optimiser(RunArguments(optimiser="sgd", momentum=0.9, head_decay=0.05), body, body, head)
    embeddings, classes = torch.randn(6, 512), torch.tensor([0, 1, 2, 3, 3, 6])
    for step in range(4):
        before = F.normalize(head.weight.detach(), dim=1)
        for optimiser in (plain, ours):
            optimiser.zero_grad()
        F.cross_entropy(64 * F.normalize(embeddings, dim=1) @ F.normalize(unit, dim=1).T, classes).backward()
        F.cross_entropy(64 * head(embeddings), classes).backward()
        tangents = 0.1 * unit.grad.norm(dim=1)
        set_rates(ours, 0.1, 1.0)
        plain.step()
        ours.step()
        after = F.normalize(head.weight.detach(), dim=1)
        if step == 0:
            # The gradient stands at a right angle to the weight of length 1, which decay has shortened a little.
            cosines = (before * after).sum(dim=1)
            torch.testing.assert_close(
                torch.tan(torch.acos(cosines)), tangents / (1 - 0.1 * 0.05), rtol=1e-3, atol=1e-4
            )
        torch.testing.assert_close(after, F.normalize(unit.detach(), dim=1), rtol=1e-4, atol=1e-5)


def test_sgd_resumed_keeps_the_rate_of_class_weights_that_it_began_with() -> None:
    head, body = CosineHead(4, 16), nn.BatchNorm1d(16)
    state = make_optimiser(RunArguments(optimiser="sgd"), body, body, head).state_dict()
    rates = []
    for old in (False, True):
        if old:
            del state["param_groups"][HEAD_GROUP]["rate_factor"]  # as written before there was a factor
        resumed = make_optimiser(RunArguments(optimiser="sgd"), body, body, head)
        resumed.load_state_dict(state)
        set_rates(resumed, 0.1, 1.0)
        rates.append(resumed.param_groups[HEAD_GROUP]["lr"])
    assert rates == pytest.approx([1.6, 0.1])


def test_move_average_goes_a_share_of_the_way_and_copies_counters() -> None:
    average, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(5.0)
    model.num_batches_tracked.fill_(7)
    move_average(average, model, 0.75)
    assert average.weight.tolist() == [2.0, 2.0]
    assert int(average.num_batches_tracked) == 7


def test_gather_head_state_passes_only_class_rows_on() -> None:
    model, head = nn.Linear(3, 2), CosineHead(4, 3)
    optimiser = torch.optim.AdamW([{"params": [p]} for p in (model.weight, model.bias, head.weight)])
    (model(torch.ones(1, 3)).sum() + head(torch.ones(1, 3)).sum()).backward()
    optimiser.step()
    state = optimiser.state_dict()
    part = gather_head_state(state, lambda rows: rows[1:3])
    index = state["param_groups"][HEAD_GROUP]["params"][0]
    assert part["state"][index]["exp_avg"].shape == (2, 3)
    assert part["state"][index]["step"] == state["state"][index]["step"]
    assert part["state"][0]["exp_avg"].shape == (2, 3) == state["state"][0]["exp_avg"].shape
    assert state["state"][index]["exp_avg"].shape == (4, 3)


def test_gradient_norm_lies_on_the_device_with_and_without_gradients() -> None:
    weight, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([3.0, 4.0])
    assert float(gradient_norm([weight, unused], torch.device("cpu"))) == 5.0
    assert gradient_norm([unused], torch.device("meta")).device.type == "meta"
