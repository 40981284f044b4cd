"""The exported recogniser computes what the network computes, for any batch size, with everything inside one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from qcface_export import onnx_from_torch  # noqa: E402
from qcface_export.onnx_from_torch import (  # noqa: E402
    ExportError,
    compare,
    example_inputs,
    export_recognizer,
    fold_batch_norms,
    network_from_checkpoint,
    recognizer_to_onnx,
)
from qcface_train.arguments import ModelArguments  # noqa: E402
from qcface_train.backbone import Backbone, EdgeNet, IResNet, MobileFaceNet  # noqa: E402
from qcface_train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint  # noqa: E402

WIDTHS, BLOCKS, NECK = (8, 8, 8, 16, 16), (1, 1, 1, 1), 16


@pytest.fixture(scope="module")
def network() -> EdgeNet:
    """A small network whose batch norms all do something."""
    torch.manual_seed(1)
    return disturb(EdgeNet(WIDTHS, BLOCKS, NECK))


def disturb(network: Backbone) -> Backbone:
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            for tensor in (module.weight, module.running_var):
                torch.nn.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (module.bias, module.running_mean):
                torch.nn.init.uniform_(tensor, -0.3, 0.3)
    return network.eval()


@pytest.fixture(scope="module")
def model(network: EdgeNet) -> bytes:
    return recognizer_to_onnx(network)


def test_fold_batch_norms_leaves_none_and_changes_nothing(network: EdgeNet) -> None:
    folded = fold_batch_norms(network)
    assert not any(isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in folded.modules())
    inputs = torch.from_numpy(example_inputs(4))
    with torch.inference_mode():
        torch.testing.assert_close(folded(inputs), network(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [lambda: IResNet((1, 1, 1, 1), (4, 4, 4, 8, 8)), MobileFaceNet])
def test_fold_batch_norms_of_the_other_networks_changes_nothing(kind: Callable[[], Backbone]) -> None:
    network = disturb(kind())
    inputs = torch.from_numpy(example_inputs(2))
    with torch.inference_mode():
        wanted = network(inputs)
        found = fold_batch_norms(network)(inputs)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))


def test_network_from_checkpoint_of_today_and_of_early_days(network: EdgeNet, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "early.pt", network)
    content = load_checkpoint(tmp_path / "early.pt")
    arguments = ModelArguments(widths=WIDTHS, blocks=BLOCKS, neck=NECK)
    save_checkpoint(tmp_path / "today.pt", content | {"architecture": dataclasses.asdict(arguments)})
    for name in ("early.pt", "today.pt"):
        found = network_from_checkpoint(tmp_path / name).state_dict()
        assert all(torch.equal(value, found[key]) for key, value in network.state_dict().items())


def test_recognizer_to_onnx_has_the_contract_of_the_sdk(model: bytes) -> None:
    proto = onnx.load_from_string(model)
    operators = [node.op_type for node in proto.graph.node]
    assert set(operators) == {"Conv", "Relu", "Add", "Reshape", "Gemm"}
    assert operators.count("Gemm") == 1
    assert proto.opset_import[0].version == 18
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    assert [(item.name, item.shape[1:]) for item in session.get_inputs()] == [("input", [3, 112, 112])]
    assert [(item.name, item.shape[1:]) for item in session.get_outputs()] == [("embedding", [512])]
    for count in (1, 3, 8):
        result = session.run(None, {"input": example_inputs(count)})[0]
        assert result.shape == (count, 512)


def test_recognizer_to_onnx_says_nothing_of_the_machine(model: bytes) -> None:
    assert str(Path(__file__).resolve().parents[2]).encode() not in model
    assert b".py" not in model


def test_compare_of_the_same_network_agrees_and_lengths_vary(network: EdgeNet, model: bytes) -> None:
    agreement = compare(network, model, example_inputs())
    assert agreement.least_cosine > 1 - 1e-5
    assert agreement.largest_norm_error < 1e-4
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    lengths = np.linalg.norm(session.run(None, {"input": example_inputs()})[0], axis=1)
    assert np.ptp(lengths) > 0.01 * lengths.mean()


def write_checkpoint(path: Path, network: EdgeNet) -> None:
    content = {
        "model": {},
        "step": 1,
        "average": network.state_dict(),
        "architecture": [list(WIDTHS), list(BLOCKS), NECK],
    }
    save_checkpoint(path, content)


def test_export_recognizer_of_a_result_that_differs_raises_and_writes_nothing(
    network: EdgeNet, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path / "checkpoint.pt", network)
    proto = onnx.load_from_string(model)
    gemm = next(node for node in proto.graph.node if node.op_type == "Gemm")
    bias = next(item for item in proto.graph.initializer if item.name == gemm.input[2])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.1), bias.name))
    monkeypatch.setattr(onnx_from_torch, "recognizer_to_onnx", lambda _: proto.SerializeToString())
    with pytest.raises(ExportError, match="do not use the file"):
        export_recognizer(tmp_path / "checkpoint.pt", tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_export_recognizer_of_a_good_checkpoint_writes_one_file(
    network: EdgeNet, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_checkpoint(tmp_path / "checkpoint.pt", network)
    monkeypatch.setattr(onnx_from_torch, "recognizer_to_onnx", lambda _: model)
    export_recognizer(tmp_path / "checkpoint.pt", tmp_path / "out.onnx")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["checkpoint.pt", "out.onnx"]
    assert (tmp_path / "out.onnx").read_bytes() == model


def test_export_recognizer_of_another_architecture_raises(network: EdgeNet, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(
        path, {"model": {}, "step": 1, "average": network.state_dict(), "architecture": [[8] * 5, [1] * 4, 8]}
    )
    with pytest.raises(CheckpointError, match="does not hold weights"):
        export_recognizer(path, tmp_path / "out.onnx")
