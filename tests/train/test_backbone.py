"""Every network: its output, its size, its last batch norm, and that the default one's names never change."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from qcface_train.arguments import BACKBONES, ModelArguments  # noqa: E402
from qcface_train.backbone import CellSum, IResNet, build_backbone, parameter_count  # noqa: E402


def make(name: str) -> torch.nn.Module:
    """A network of each kind that is quick to build and run."""
    torch.manual_seed(0)
    if name.startswith("iresnet"):
        return IResNet((1, 1, 1, 1), (4, 4, 4, 8, 8), dropout=0.4)
    return build_backbone(ModelArguments(name=name))


KINDS = ["edge", "iresnet18", "mobilefacenet"]


@pytest.mark.parametrize("name", KINDS)
def test_network_maps_crops_to_512_raw_numbers_and_sends_gradients_everywhere(name: str) -> None:
    network = make(name).train()
    for module in network.modules():  # a gain of 0 stops the gradient of what lies before it, at the start
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    embeddings = network(torch.randn(4, 3, 112, 112))
    assert embeddings.shape == (4, 512)
    (embeddings * torch.randn(4, 512)).sum().backward()
    kernels = {key: value.grad for key, value in network.named_parameters() if value.ndim > 1}
    assert [key for key, grad in kernels.items() if grad is None or not grad.abs().sum() > 0] == []


@pytest.mark.parametrize("name", KINDS)
def test_last_batch_norm_has_a_learnable_gain_that_scales_the_length(name: str) -> None:
    """A fixed gain of 1 holds the length near sqrt(512), and ua is out of reach."""
    network = make(name).train()
    images = torch.randn(2, 3, 112, 112)
    network(images)
    assert network.final_bn.weight.requires_grad
    network.eval()
    with torch.inference_mode():
        before = network(images).norm(dim=1)
    with torch.no_grad():
        network.final_bn.weight.mul_(4.2)
        network.final_bn.bias.mul_(4.2)
    with torch.inference_mode():
        torch.testing.assert_close(network(images).norm(dim=1), 4.2 * before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
def test_running_figures_are_averages_of_many_batches(name: str) -> None:
    momenta = {
        module.momentum
        for module in make(name).modules()
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d))
    }
    assert momenta == {0.1}


@pytest.mark.parametrize(
    ("name", "millions"),
    [("iresnet18", 24.0), ("iresnet34", 34.1), ("iresnet50", 43.6), ("iresnet100", 65.2), ("mobilefacenet", 1.2)],
)
def test_parameters_are_as_many_as_those_of_the_published_networks(name: str, millions: float) -> None:
    with torch.device("meta"):
        network = build_backbone(ModelArguments(name=name))
    assert parameter_count(network) / 1e6 == pytest.approx(millions, abs=0.06)


def test_every_name_of_a_recipe_builds_a_network() -> None:
    with torch.device("meta"):
        kinds = {name: type(build_backbone(ModelArguments(name=name))).__name__ for name in BACKBONES}
    assert kinds.pop("edge") == "EdgeNet"
    assert kinds.pop("mobilefacenet") == "MobileFaceNet"
    assert set(kinds.values()) == {"IResNet"}


def test_names_of_the_edge_network_are_those_of_kept_checkpoints() -> None:
    keys = set(build_backbone(ModelArguments()).state_dict())
    assert {"stem.0.weight", "stages.0.conv1.weight", "stages.1.shortcut.1.running_var"} <= keys
    assert {"neck.1.bias", "pool.0.weight", "project.weight", "final_bn.weight"} <= keys
    assert not {key.split(".")[0] for key in keys} - {"stem", "stages", "neck", "pool", "project", "final_bn"}


def test_sum_over_cells_is_the_convolution_it_stands_for() -> None:
    """In training it is computed as a sum, otherwise, and in exported files, as a convolution."""
    torch.manual_seed(0)
    pool = CellSum(6, 7)
    values = torch.randn(3, 6, 7, 7, requires_grad=True)
    results = {}
    for training in (True, False):
        pool.train(training).zero_grad()
        values.grad = None
        found = pool(values)
        found.pow(2).sum().backward()
        results[training] = (found.detach(), pool.weight.grad.clone(), values.grad.clone())
    for summed, convolved in zip(*results.values(), strict=True):
        torch.testing.assert_close(summed, convolved)
    assert list(pool.state_dict()) == ["weight"]
