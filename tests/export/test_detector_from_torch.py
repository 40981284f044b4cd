"""The exported detector equals the network and keeps YuNet's names and shapes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from qcface_export.detector_from_torch import detector_to_onnx, export_detector
from qcface_train.detector.layout import CHANNELS, OUTPUT_NAMES, decode
from qcface_train.detector.network import Detector


@pytest.fixture(scope="module")
def network() -> Detector:
    """Random weights and batch-norm statistics, so that folding has something to fold."""
    torch.manual_seed(4)
    torch.set_num_threads(1)
    detector = Detector().eval()
    for layer in detector.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            layer.running_mean.normal_(std=0.2)
            layer.running_var.uniform_(0.5, 2.0)
    return detector


@pytest.fixture(scope="module")
def model(network: Detector) -> onnx.ModelProto:
    return detector_to_onnx(network)


@pytest.fixture(scope="module")
def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 3, 96, 160), (2, 3, 64, 32)], ids=str)
def test_detector_to_onnx_outputs_equal_torch(
    network: Detector, session: onnxruntime.InferenceSession, shape: tuple[int, ...]
) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, shape).astype(np.float32)
    with torch.no_grad():
        wanted = [value.numpy() for value in network(torch.from_numpy(pictures))]
    found = session.run(list(OUTPUT_NAMES), {"input": pictures})
    for name, ours, theirs in zip(OUTPUT_NAMES, found, wanted, strict=True):
        kind, stride = name.split("_")
        assert ours.shape == (shape[0], shape[2] * shape[3] // int(stride) ** 2, CHANNELS[kind])
        # Folding batch norms only reorders float32 sums.
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-3)


def test_detector_to_onnx_names_and_size_keep_the_contract(model: onnx.ModelProto) -> None:
    assert [value.name for value in model.graph.input] == ["input"]
    assert [value.name for value in model.graph.output] == list(OUTPUT_NAMES)
    assert model.ByteSize() <= 500_000
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_export_detector_file_loads_in_opencv(network: Detector, tmp_path: Path) -> None:
    checkpoint, output = tmp_path / "checkpoint.pt", tmp_path / "detector.onnx"
    torch.save({"average": network.state_dict()}, checkpoint)
    size = export_detector(checkpoint, output)
    assert output.stat().st_size == size
    picture = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    detector = cv2.FaceDetectorYN.create(str(output), "", (96, 64), 0.001, 0.3, 5000)
    _, rows = detector.detect(picture)
    session = onnxruntime.InferenceSession(str(output), providers=["CPUExecutionProvider"])
    feed = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
    maps = dict(zip(OUTPUT_NAMES, session.run(list(OUTPUT_NAMES), {"input": feed}), strict=True))
    ours = decode(maps, (96, 64), score_threshold=0.001)
    assert rows is not None
    assert rows[:, 14].max() == pytest.approx(float(ours.scores[0]), abs=2e-3)


def test_detector_to_onnx_leaves_the_network_alone(network: Detector) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    detector_to_onnx(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
