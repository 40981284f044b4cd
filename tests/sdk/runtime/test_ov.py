"""What is special to OpenVINO."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from qcface_sdk.errors import InferenceError
from qcface_sdk.runtime.ort import OrtRunner
from qcface_sdk.runtime.ov import OvRunner
from tiny_models import tiny_detector, tiny_recognizer

pytest.importorskip("openvino", reason="openvino is not installed")


def test_ov_runner_equals_onnx_runtime_with_its_magnitudes(rng: np.random.Generator) -> None:
    crops = rng.uniform(-1, 1, (4, 3, 112, 112)).astype(np.float32)
    with OvRunner(tiny_recognizer()) as ours, OrtRunner(tiny_recognizer()) as theirs:
        got = ours.infer({"input": crops})["embedding"]
        expected = theirs.infer({"input": crops})["embedding"]
    # BF16 has 8 bits of mantissa and would be off by about 4e-3.
    lengths = np.linalg.norm(expected, axis=1)
    assert np.abs(np.linalg.norm(got, axis=1) / lengths - 1).max() < 1e-5


def test_ov_runner_equals_onnx_runtime_on_the_detector(rng: np.random.Generator) -> None:
    image = rng.uniform(0, 255, (1, 3, 96, 160)).astype(np.float32)
    with OvRunner(tiny_detector()) as ours, OrtRunner(tiny_detector()) as theirs:
        expected = theirs.infer({"input": image})
        for name, values in ours.infer({"input": image}).items():
            np.testing.assert_allclose(values, expected[name], atol=1e-4)


def test_ov_runner_names_outputs_as_the_file_does_where_tensors_are_merged() -> None:
    """OpenVINO drops the identity and then knows the output by both names."""
    nodes = [helper.make_node("Relu", ["x"], ["0"]), helper.make_node("Identity", ["0"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N"]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "merged", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with OvRunner(model.SerializeToString()) as runner:
        assert [spec.name for spec in runner.outputs] == ["y"]
        assert runner.infer({"x": np.array([-1, 2], np.float32)})["y"].tolist() == [0, 2]


def test_ov_runner_keeps_no_more_requests_than_threads_ran_at_once() -> None:
    with OvRunner(tiny_recognizer()) as runner:
        crop = {"input": np.zeros((1, 3, 112, 112), np.float32)}
        for _ in range(20):
            runner.infer(crop)
        assert len(runner._idle) == 1
        for _ in range(5):
            threads = [threading.Thread(target=runner.infer, args=(crop,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert 1 <= len(runner._idle) <= 4


def test_ov_runner_that_fails_in_a_run_says_so_and_goes_on_with_a_new_request() -> None:
    class BrokenRequest:
        def infer(self, *arguments: object, **options: object) -> None:
            raise RuntimeError("Exception from src:1\nout of memory")

    crop = {"input": np.zeros((1, 3, 112, 112), np.float32)}
    with OvRunner(tiny_recognizer()) as runner:
        runner._idle.append(BrokenRequest())
        with pytest.raises(InferenceError, match="OpenVINO failed while running the model: .* out of memory"):
            runner.infer(crop)
        assert runner.infer(crop)["embedding"].shape == (1, 512)
