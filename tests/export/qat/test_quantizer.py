"""The rounding network rounds where and as the emitted file does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchao", reason="torchao is not installed: pip install 'qcface-sdk[qat]'")
pytest.importorskip("onnxscript")

from qcface_export.calibration import network_input  # noqa: E402
from qcface_export.emit import emit_trt  # noqa: E402
from qcface_export.emit.quantization import symmetric_scale, weight_scales  # noqa: E402
from qcface_export.emit.trt import residual_branches  # noqa: E402
from qcface_export.errors import CalibrationError, ExportError  # noqa: E402
from qcface_export.onnx_graph import Graph  # noqa: E402
from qcface_export.qat import Placement, fake_quantized, learned_steps  # noqa: E402
from qcface_export.qat.rounding import LearnedStep  # noqa: E402
from small_networks import run_on_one_thread, small_pictures  # noqa: E402

SUM = torch.ops.aten.add.Tensor
LAYERS = (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default)


@pytest.fixture(scope="module")
def edge_student(edge):
    return fake_quantized(edge.network, Placement.of(edge.master, edge.table))


@pytest.fixture(scope="module")
def iresnet_student(iresnet):
    return fake_quantized(iresnet.network, Placement.of(iresnet.master, iresnet.table))


def answers(exported, student, crops):
    """Return the embeddings of the rounding network, of the emitted file and of the master."""
    inputs = network_input(crops, exported.table.preprocessing)
    with torch.inference_mode():
        ours = student(torch.from_numpy(inputs)).numpy()
    file = emit_trt(exported.master, exported.table, "int8-fp32")
    return ours, run_on_one_thread(file, inputs, optimised=False), run_on_one_thread(exported.master, inputs)


def rounder(student, node):
    """The fake quantiser behind a node's argument; None if there is none."""
    named = dict(student.named_modules(remove_duplicate=False))
    return named[node.target] if getattr(node, "op", "") == "call_module" else None


def test_where_arithmetic_is_exact_the_rounding_network_gives_the_very_numbers_of_the_file(edge, edge_student) -> None:
    ours, theirs, plain = answers(edge, edge_student, small_pictures(8, seed=5))
    np.testing.assert_array_equal(ours, theirs)
    assert np.abs(plain - theirs).max() > 0.01 * np.abs(plain).max(), "without rounding there is nothing to compare"


def test_elsewhere_they_part_only_where_a_half_turns_the_other_way(iresnet, iresnet_student) -> None:
    ours, theirs, plain = answers(iresnet, iresnet_student, small_pictures(3, seed=5))
    # The same sums in another order turn some halves the other way; the rounding itself moves far more.
    assert np.abs(ours - theirs).mean() < 0.25 * np.abs(plain - theirs).mean()


@pytest.mark.parametrize("name", ["edge", "iresnet"])
def test_inputs_and_weights_of_layers_and_shortcuts_are_rounded_and_nothing_else(
    name: str, request: pytest.FixtureRequest
) -> None:
    student = request.getfixturevalue(f"{name}_student")
    graph = Graph(request.getfixturevalue(name).master)
    layers = [node for node in student.graph.nodes if node.target in LAYERS]
    assert len(layers) == len(graph.weighted_nodes())
    for node in layers:
        weight = rounder(student, node.args[1])
        assert (weight.quant_min, weight.quant_max, weight.dtype) == (-127, 127, torch.int8)
        assert len(node.args) < 3 or rounder(student, node.args[2]) is None, "a bias stays in float"
        assert isinstance(rounder(student, node.args[0]), LearnedStep)
    assert not rounder(student, layers[0].args[0]).learned, "pixels stand on a grid of their own"
    sums = [node for node in student.graph.nodes if node.target == SUM]
    rounded = [sum(rounder(student, arg) is not None for arg in node.args) for node in sums]
    assert sorted(rounded) == [0] + [1] * len(residual_branches(graph)), "all but the shift of the pixels"


def test_steps_are_those_of_table_and_weights_in_fp16(edge, edge_student) -> None:
    placement = Placement.of(edge.master, edge.table)
    steps = learned_steps(edge_student, placement)
    assert set(steps) == set(placement.steps) - {placement.picture}
    for tensor, step in steps.items():
        assert step == symmetric_scale(*edge.table.limits(tensor, 99.999), half=True).scale
    edge_student(torch.zeros(1, 3, 112, 112))
    graph = Graph(edge.master)
    layers = [node for node in edge_student.graph.nodes if node.target in LAYERS]
    for node, layer in zip(layers, graph.weighted_nodes(), strict=True):
        weight = rounder(edge_student, node.args[1])
        np.testing.assert_array_equal(weight.scale, weight_scales(graph.constants[layer.input[1]], 0, half=True))
        assert not weight.zero_point.any()


def test_all_readers_of_a_tensor_share_its_step(edge, edge_student) -> None:
    graph = Graph(edge.master)
    read = {node.input[0] for node in graph.weighted_nodes()} | set(residual_branches(graph).values())
    learned = [module for module in edge_student.modules() if isinstance(module, LearnedStep)]
    assert len(learned) == len(read) < len(graph.weighted_nodes()) + len(residual_branches(graph))


def test_a_step_is_one_of_fp16_and_grows_where_values_are_clipped() -> None:
    rounding = LearnedStep(0.0123)
    assert float(rounding.step().detach()) == float(np.float16(0.0123))
    clipped = torch.tensor([10.0, -10.0, 9.0])
    (rounding(clipped) - clipped).square().sum().backward()
    assert rounding.exponent.grad < 0, "going against the gradient makes the step larger"
    x = torch.tensor([0.5, 50.0], requires_grad=True)
    rounding(x).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_a_network_that_is_not_the_masters_is_refused(edge, iresnet) -> None:
    with pytest.raises(ExportError, match="is not the one the master was exported from"):
        fake_quantized(edge.network, Placement.of(iresnet.master, iresnet.table))
    with pytest.raises(CalibrationError, match="calibrate this model"):
        Placement.of(edge.master, iresnet.table)


def test_without_a_common_grid_for_pixels_their_step_is_that_of_the_table(edge) -> None:
    other = dataclasses.replace(edge.table.preprocessing, std=(128.0, 100.0, 128.0))
    table = type(edge.table).of(edge.master, edge.table.images_sha256, 1, other, edge.table.tensors)
    placement = Placement.of(edge.master, table)
    assert placement.pixels is None
    wanted = symmetric_scale(*table.limits(placement.picture, 99.999), half=True).scale
    assert placement.steps[placement.picture] == wanted
