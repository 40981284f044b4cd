"""The TensorRT runner on host memory: its results, its buffers, its graphs and its faults."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from fake_tensorrt import DeviceTensor, FakeTensorRT, HostMemory
from qcface_sdk.errors import DeviceLostError, EngineMismatchError, InferenceError, InputError, ShapeError
from qcface_sdk.runtime.device_memory import device_error
from qcface_sdk.runtime.ort import OrtRunner
from qcface_sdk.runtime.trt import TrtRunner
from qcface_sdk.runtime.trt_build import BuildOptions, ShapeRange, build_engine
from tiny_models import tiny_detector, tiny_recognizer

LOST = device_error("finish its work", 719, "unspecified launch failure")


FOUR = ShapeRange(1, 1, 4)


class Bench:
    """A runner and the fakes under it."""

    def __init__(self, model: bytes, *, batch: ShapeRange = FOUR, graphs: bool = True) -> None:
        self.memory = HostMemory(graphs=graphs)
        self.trt = FakeTensorRT(self.memory)
        plan = build_engine(self.trt, model, BuildOptions(batch=batch)).plan
        self.runner = TrtRunner(plan, tensorrt=self.trt, memory=self.memory)

    def embed(self, crops: object) -> NDArray[np.float32]:
        return self.runner.infer({"input": crops})["embedding"]  # type: ignore[dict-item]


@pytest.fixture
def bench() -> Bench:
    return Bench(tiny_recognizer())


@pytest.fixture
def crops(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.uniform(-1, 1, (11, 3, 112, 112)).astype(np.float32)


@pytest.fixture(scope="module")
def expected() -> OrtRunner:
    return OrtRunner(tiny_recognizer())


def oracle(expected: OrtRunner, crops: NDArray[np.float32]) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = expected.infer({"input": crops})["embedding"]
    return rows


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11])
def test_infer_of_any_number_of_rows_equals_onnx_runtime(
    bench: Bench, crops: NDArray[np.float32], expected: OrtRunner, count: int
) -> None:
    np.testing.assert_allclose(bench.embed(crops[:count]), oracle(expected, crops[:count]), atol=1e-4)


def test_fewer_rows_than_the_profile_takes_are_padded(crops: NDArray[np.float32], expected: OrtRunner) -> None:
    bench = Bench(tiny_recognizer(), batch=ShapeRange(4, 4, 4))
    got = bench.embed(crops[:6])
    np.testing.assert_allclose(got, oracle(expected, crops[:6]), atol=1e-4)


def test_runner_describes_the_engine(bench: Bench) -> None:
    assert [(spec.name, spec.shape) for spec in bench.runner.inputs] == [("input", (None, 3, 112, 112))]
    assert [(spec.name, spec.shape) for spec in bench.runner.outputs] == [("embedding", (None, 512))]
    assert bench.runner.profiles[0].maximum == (4, 3, 112, 112)


def test_the_third_run_of_a_shape_is_a_graph_and_another_shape_drops_it(
    bench: Bench, crops: NDArray[np.float32], expected: OrtRunner
) -> None:
    for _ in range(4):
        np.testing.assert_allclose(bench.embed(crops[:2]), oracle(expected, crops[:2]), atol=1e-4)
    assert bench.memory.calls.count("begin_capture") == 1
    assert bench.memory.calls.count("launch") == 3
    np.testing.assert_allclose(bench.embed(crops[:3]), oracle(expected, crops[:3]), atol=1e-4)
    assert bench.memory.calls.count("drop_graph") == 1
    # The graph reads the runner's own memory, so new values are seen.
    for row in crops:
        np.testing.assert_allclose(bench.embed(row[None]), oracle(expected, row[None]), atol=1e-4)


def test_without_graphs_every_run_is_queued(crops: NDArray[np.float32]) -> None:
    bench = Bench(tiny_recognizer(), graphs=False)
    for _ in range(3):
        bench.embed(crops[:1])
    assert "begin_capture" not in bench.memory.calls


def test_an_engine_that_cannot_be_captured_runs_without_graphs(
    bench: Bench, crops: NDArray[np.float32], expected: OrtRunner
) -> None:
    bench.trt.capture_fails = True
    for _ in range(3):
        np.testing.assert_allclose(bench.embed(crops[:1]), oracle(expected, crops[:1]), atol=1e-4)
    assert bench.memory.calls.count("begin_capture") == 1


def test_steady_calls_allocate_nothing(bench: Bench, crops: NDArray[np.float32]) -> None:
    bench.embed(crops[:4])
    before = len(bench.memory.blocks), bench.memory.calls.count("allocate")
    for count in (1, 4, 2, 3):
        bench.embed(crops[:count])
    assert (len(bench.memory.blocks), bench.memory.calls.count("allocate")) == before


@pytest.mark.parametrize("stream", [None, 77])
def test_an_array_on_the_gpu_is_copied_there(
    bench: Bench, crops: NDArray[np.float32], expected: OrtRunner, stream: int | None
) -> None:
    got = bench.embed(DeviceTensor(crops, stream=stream))
    np.testing.assert_allclose(got, oracle(expected, crops), atol=1e-4)
    assert "upload" not in bench.memory.calls
    # One wait for the result of each of the three parts, one more each for the stream the array came from.
    assert bench.memory.calls.count("synchronize") == (3 if stream is None else 6)


@pytest.mark.parametrize("change", ["type", "shape", "strides"])
def test_another_array_on_the_gpu_is_refused(bench: Bench, crops: NDArray[np.float32], change: str) -> None:
    arrays = {"type": crops.astype(np.float64), "shape": crops[:, :2].copy(), "strides": crops[::2]}
    with pytest.raises(ShapeError, match="input 'input' must be"):
        bench.embed(DeviceTensor(arrays[change]))


def test_a_detector_takes_sizes_that_change_within_the_profile(rng: np.random.Generator) -> None:
    bench, expected = Bench(tiny_detector()), OrtRunner(tiny_detector())
    for height, width in [(64, 96), (320, 256), (64, 96), (64, 96)]:
        image = rng.uniform(0, 255, (1, 3, height, width)).astype(np.float32)
        wanted = expected.infer({"input": image})
        for name, values in bench.runner.infer({"input": image}).items():
            np.testing.assert_allclose(values, wanted[name], atol=1e-4)
    with pytest.raises(InputError, match=r"must have a shape from \(1, 3, 32, 32\) to .* got \(1, 3, 64, 1952\)"):
        bench.runner.infer({"input": np.zeros((1, 3, 64, 1952), np.float32)})


def test_threads_take_turns(bench: Bench, crops: NDArray[np.float32], expected: OrtRunner) -> None:
    wanted = oracle(expected, crops)
    wrong: list[int] = []

    def work(index: int) -> None:
        rows = slice(index, index + 1 + index % 3)
        for _ in range(10):
            if not np.allclose(bench.embed(crops[rows]), wanted[rows], atol=1e-4):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_results_belong_to_the_caller(bench: Bench, crops: NDArray[np.float32]) -> None:
    first = bench.embed(crops[:1])
    before = first.copy()
    bench.embed(crops[1:2])
    np.testing.assert_array_equal(first, before)
    first[:] = 0


def test_close_gives_all_memory_back_and_later_runs_say_so(bench: Bench, crops: NDArray[np.float32]) -> None:
    for _ in range(3):
        bench.embed(crops[:1])
    bench.runner.close()
    bench.runner.close()
    assert (bench.memory.blocks, bench.memory.pinned) == ({}, {})
    with pytest.raises(InferenceError, match="this tensorrt runner is closed; open a new one"):
        bench.embed(crops[:1])


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["upload", "download", "synchronize", "launch"])
def test_a_lost_device_is_named_and_stays_lost(bench: Bench, crops: NDArray[np.float32], call: str) -> None:
    for _ in range(3):
        bench.embed(crops[:1])
    bench.memory.faults[call] = LOST
    with pytest.raises(DeviceLostError, match=r"CUDA error 719 .*start the process again"):
        bench.embed(crops[:1])
    bench.memory.faults.clear()
    with pytest.raises(DeviceLostError, match="CUDA error 719"):
        bench.embed(crops[:1])
    bench.memory.faults["free"] = LOST
    bench.runner.close()


def test_full_memory_is_named_and_passes(bench: Bench, crops: NDArray[np.float32], expected: OrtRunner) -> None:
    bench.embed(crops[:1])
    bench.memory.faults["allocate"] = device_error("allocate 1 bytes", 2, "out of memory")
    with pytest.raises(InferenceError, match="memory is full: use a smaller batch_size"):
        bench.embed(crops[:4])
    bench.memory.faults.clear()
    np.testing.assert_allclose(bench.embed(crops[:4]), oracle(expected, crops[:4]), atol=1e-4)


def test_memory_that_cannot_be_pinned_is_not_leaked_on_the_gpu(bench: Bench, crops: NDArray[np.float32]) -> None:
    bench.memory.faults["pin"] = device_error("pin 1 bytes", 2, "out of memory")
    with pytest.raises(InferenceError, match="pin 1 bytes"):
        bench.embed(crops[:1])
    assert bench.memory.blocks == {}


def test_a_failed_run_is_named_and_the_next_one_works(
    bench: Bench, crops: NDArray[np.float32], expected: OrtRunner
) -> None:
    bench.trt.run_fails = True
    with pytest.raises(InferenceError, match="TensorRT failed while running the engine"):
        bench.embed(crops[:1])
    bench.trt.run_fails = False
    np.testing.assert_allclose(bench.embed(crops[:1]), oracle(expected, crops[:1]), atol=1e-4)


@pytest.mark.parametrize("plan", [b"", b"FAKEPLA", b"\x00" * 100])
def test_a_plan_that_is_none_is_refused_with_tensorrts_reason(bench: Bench, plan: bytes) -> None:
    with pytest.raises(EngineMismatchError, match="refuses the engine: Serialization assertion"):
        TrtRunner(plan, tensorrt=bench.trt, memory=bench.memory)


@pytest.mark.parametrize("feeds", [{}, {"x": 1}])
def test_other_inputs_are_refused(bench: Bench, feeds: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(InputError, match="feeds must be"):
        bench.runner.infer(feeds)
