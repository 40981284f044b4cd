"""What is special to ONNX Runtime."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from qcface_sdk.errors import BackendUnavailableError, InferenceError, ModelFormatError
from qcface_sdk.runtime.ort import OrtRunner
from tiny_models import tiny_detector, tiny_recognizer


def test_ort_runner_runs_on_the_cpu_by_default() -> None:
    with OrtRunner(tiny_recognizer()) as runner:
        assert runner.providers == ("CPUExecutionProvider",)


def test_ort_runner_with_a_provider_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(BackendUnavailableError, match="has no NoSuchProvider, only .*CPUExecutionProvider"):
        OrtRunner(tiny_recognizer(), providers=["NoSuchProvider", "CPUExecutionProvider"])


def test_ort_runner_of_a_model_with_text_inputs_is_refused() -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "text",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(ModelFormatError, match="'x' must be a tensor of numbers"):
        OrtRunner(model.SerializeToString())


def test_ort_runner_that_fails_in_a_run_says_so_and_goes_on() -> None:
    """A sum of two vectors whose lengths do not fit, which only the run can tell."""
    names = ("x", "y", "sum")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"length of {name}"]) for name in names]
    graph = helper.make_graph([helper.make_node("Add", ["x", "y"], ["sum"])], "sum", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    three, four = np.ones(3, np.float32), np.ones(4, np.float32)
    with OrtRunner(model.SerializeToString()) as runner:
        with pytest.raises(InferenceError, match="ONNX Runtime failed while running the model"):
            runner.infer({"x": three, "y": four})
        assert runner.infer({"x": four, "y": four})["sum"].tolist() == [2.0] * 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ort_runner_memory_stays_bounded_over_many_sizes(rng: np.random.Generator) -> None:
    def resident_mb() -> float:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6

    with OrtRunner(tiny_detector()) as runner:
        runner.infer({"input": np.zeros((1, 3, 640, 640), np.float32)})
        before = resident_mb()
        for height, width in rng.integers(2, 21, (200, 2)) * 32:
            runner.infer({"input": np.zeros((1, 3, height, width), np.float32)})
        # The largest size needs about 15 MB; a plan kept per size would add to that 200 times.
        assert resident_mb() - before < 60
