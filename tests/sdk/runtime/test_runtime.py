"""Choosing a backend, and the promises every backend keeps."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from qcface_sdk import runtime as runtime_module
from qcface_sdk.errors import BackendUnavailableError, InferenceError, InputError, ModelFormatError, OptionError
from qcface_sdk.runtime import GPU_BACKENDS, Runner, available_backends, open_runner, resolve_backend
from tiny_models import tiny_detector, tiny_recognizer

BACKENDS = ("onnxruntime", "openvino")
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": r"qcface-sdk\[openvino\]"}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture
def runner(backend: str) -> Iterator[Runner]:
    with open_runner(tiny_recognizer(), backend) as opened:
        yield opened


@pytest.fixture
def crops(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.uniform(-1, 1, (8, 3, 112, 112)).astype(np.float32)


def numpy_embeddings(crops: NDArray[np.float32]) -> NDArray[np.float64]:
    """The tiny recogniser in NumPy, in double precision."""
    weights = {
        t.name: onnx.numpy_helper.to_array(t) for t in onnx.load_from_string(tiny_recognizer()).graph.initializer
    }

    def conv_tanh(x: NDArray[np.float64], kernel: NDArray[np.float32]) -> NDArray[np.float64]:
        padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(2, 3))[:, :, ::4, ::4]
        return np.tanh(np.einsum("nchwij,kcij->nkhw", windows, kernel.astype(np.float64)))

    x = conv_tanh(conv_tanh(crops.astype(np.float64), weights["conv1"]), weights["conv2"])
    pooled = x[:, :, :6, :6].reshape(len(x), 16, 3, 2, 3, 2).mean(axis=(3, 5))
    return np.asarray(pooled.reshape(len(x), -1) @ weights["last"].astype(np.float64))


def model_bytes(graph: onnx.GraphProto) -> bytes:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def identity_model(dtype: int) -> bytes:
    values = [helper.make_tensor_value_info(name, dtype, ["N"]) for name in ("x", "y")]
    return model_bytes(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", values[:1], values[1:]))


# --- choosing -------------------------------------------------------------------------------------------------------


def test_import_of_the_runtime_package_loads_no_backend() -> None:
    code = (
        "import sys, qcface_sdk.runtime as r, qcface_sdk.bundle; r.available_backends(); "
        f"print([name for name in {BACKENDS} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_available_backends_lists_all_known_in_order_of_preference() -> None:
    infos = available_backends()
    assert tuple(info.name for info in infos) == (*GPU_BACKENDS, *BACKENDS)
    found = {info.name: info for info in infos}["onnxruntime"]
    assert found.available
    assert found.version == importlib.import_module("onnxruntime").__version__


def test_available_backends_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    info = {info.name: info for info in available_backends()}["openvino"]
    assert (info.available, info.version) == (False, None)
    assert 'pip install "qcface-sdk[openvino]"' in info.reason


def test_resolve_backend_auto_is_onnxruntime() -> None:
    assert resolve_backend("auto") == "onnxruntime"


def test_resolve_backend_auto_without_onnxruntime_is_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    present = {"onnxruntime": None, "openvino": SimpleNamespace(origin=None)}
    monkeypatch.setattr(runtime_module.importlib.util, "find_spec", lambda name: present[name])
    assert resolve_backend("auto") == "openvino"


@pytest.mark.parametrize("name", ["auto", "onnxruntime", "openvino"])
def test_resolve_backend_without_any_package_names_the_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_module.importlib.util, "find_spec", lambda module: None)
    with pytest.raises(BackendUnavailableError, match="pip install " + ("onnxruntime" if name == "auto" else '"?')):
        resolve_backend(name)


@pytest.mark.parametrize("name", ["tensorflow", "cuda", "", "ONNXRuntime"])
def test_open_runner_of_an_unknown_backend_lists_the_known(name: str) -> None:
    with pytest.raises(BackendUnavailableError, match="must be auto or one of tensorrt, .*onnxruntime, openvino, got"):
        open_runner(tiny_recognizer(), name)


# --- every backend --------------------------------------------------------------------------------------------------


def test_runner_describes_its_model(backend: str) -> None:
    with open_runner(tiny_detector(), backend) as runner:
        assert runner.name == backend
        assert [(spec.name, spec.dtype, spec.shape) for spec in runner.inputs] == [
            ("input", np.dtype(np.float32), (1, 3, None, None))
        ]
        assert {spec.name: spec.shape for spec in runner.outputs} == {
            f"{kind}_{stride}": (1, None, width)
            for kind, width in {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}.items()
            for stride in (8, 16, 32)
        }


def test_infer_equals_numpy(runner: Runner, crops: NDArray[np.float32]) -> None:
    got = runner.infer({"input": crops})["embedding"]
    assert got.dtype == np.float32
    # Lengths are about 36; float32 sums of 144 products differ in the last digits.
    np.testing.assert_allclose(got, numpy_embeddings(crops), atol=1e-4)


def test_infer_of_a_batch_equals_infer_of_each(runner: Runner, crops: NDArray[np.float32]) -> None:
    together = runner.infer({"input": crops})["embedding"]
    singles = [runner.infer({"input": crop[None]})["embedding"][0] for crop in crops]
    np.testing.assert_allclose(together, singles, atol=1e-4)


def test_infer_takes_sizes_that_change(backend: str, rng: np.random.Generator) -> None:
    with open_runner(tiny_detector(), backend) as runner:
        for height, width in [(64, 96), (320, 256), (64, 96)]:
            image = rng.uniform(0, 255, (1, 3, height, width)).astype(np.float32)
            assert runner.infer({"input": image})["kps_8"].shape == (1, height * width // 64, 10)


def test_infer_results_stay_as_they_were_after_the_next_run(runner: Runner, crops: NDArray[np.float32]) -> None:
    first = runner.infer({"input": crops[:1]})["embedding"]
    before = first.copy()
    runner.infer({"input": crops[1:2]})
    np.testing.assert_array_equal(first, before)
    first[:] = 0  # owned by the caller, so writable


def test_infer_does_not_change_its_feeds(runner: Runner, crops: NDArray[np.float32]) -> None:
    crops.setflags(write=False)
    before = crops.copy()
    runner.infer({"input": crops})
    np.testing.assert_array_equal(crops, before)


def test_infer_passes_nan_through(runner: Runner, crops: NDArray[np.float32]) -> None:
    crops[3] = np.nan
    finite = np.isfinite(runner.infer({"input": crops})["embedding"]).all(axis=1)
    assert finite.tolist() == [True] * 3 + [False] + [True] * 4


def test_infer_from_eight_threads_equals_infer_from_one(runner: Runner, crops: NDArray[np.float32]) -> None:
    expected = [runner.infer({"input": crop[None]})["embedding"] for crop in crops]
    wrong: list[int] = []
    start = threading.Barrier(len(crops))

    def work(index: int) -> None:
        start.wait()
        for _ in range(20):
            got = runner.infer({"input": crops[index][None]})["embedding"]
            if not np.array_equal(got, expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(crops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_infer_after_close_says_so(backend: str, crops: NDArray[np.float32]) -> None:
    runner = open_runner(tiny_recognizer(), backend)
    runner.close()
    runner.close()
    with pytest.raises(InferenceError, match=f"this {backend} runner is closed; open a new one"):
        runner.infer({"input": crops})


def test_close_during_runs_gives_results_or_the_closed_error(backend: str, crops: NDArray[np.float32]) -> None:
    runner = open_runner(tiny_recognizer(), backend)
    expected = runner.infer({"input": crops})["embedding"]
    unexpected: list[object] = []

    def work() -> None:
        try:
            for _ in range(500):
                if not np.allclose(runner.infer({"input": crops})["embedding"], expected, atol=1e-4):
                    unexpected.append("other result")
        except InferenceError as error:
            if "is closed" not in str(error):
                unexpected.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    runner.close()
    for thread in threads:
        thread.join()
    assert unexpected == []


@pytest.mark.parametrize(
    "model",
    [b"", b"hello world", tiny_recognizer()[:1000], tiny_recognizer()[:-100], b"\x89PNG\r\n\x1a\n" + bytes(100)],
    ids=["empty", "text", "head only", "truncated", "png"],
)
def test_open_runner_of_what_is_no_onnx_is_a_model_format_error(backend: str, model: bytes) -> None:
    with pytest.raises(ModelFormatError) as caught:
        open_runner(model, backend)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [None, "model.onnx", bytearray(b"x")])
def test_open_runner_of_what_are_no_bytes_says_how_to_get_them(backend: str, model: bytes) -> None:
    with pytest.raises(InputError, match=r"pass path.read_bytes\(\)"):
        open_runner(model, backend)


@pytest.mark.parametrize("threads", [0, -1, 1.5, True, "2"])
def test_open_runner_with_a_bad_thread_count_is_refused(backend: str, threads: int) -> None:
    with pytest.raises(OptionError, match="threads must be a whole number of at least 1"):
        open_runner(tiny_recognizer(), backend, threads)


def test_open_runner_with_two_threads_gives_the_same(backend: str, runner: Runner, crops: NDArray[np.float32]) -> None:
    with open_runner(tiny_recognizer(), backend, threads=2) as two:
        got = two.infer({"input": crops})["embedding"]
    np.testing.assert_allclose(got, runner.infer({"input": crops})["embedding"], atol=1e-4)


def test_open_runner_of_weights_in_another_file_is_refused(
    backend: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backends would read them from the working directory, unverified."""
    folder = tmp_path_factory.mktemp("external")
    monkeypatch.chdir(folder)
    proto = onnx.load_from_string(tiny_recognizer())
    onnx.save_model(proto, "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=100)
    with pytest.raises(ModelFormatError, match="keeps weights in another file"):
        open_runner((folder / "model.onnx").read_bytes(), backend)


@pytest.mark.parametrize("name", BACKENDS)
def test_open_runner_without_the_package_names_the_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailableError, match=f'pip install "?{PACKAGES[name]}'):
        open_runner(tiny_recognizer(), name)
    with pytest.raises(ImportError):
        open_runner(tiny_recognizer(), name)


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64, TensorProto.DOUBLE])
def test_infer_keeps_the_type_of_a_number(backend: str, dtype: int) -> None:
    with open_runner(identity_model(dtype), backend) as runner:
        values = np.array([1, 2, 3], dtype=runner.inputs[0].dtype)
        got = runner.infer({"x": values})["y"]
    assert got.dtype == helper.tensor_dtype_to_np_dtype(dtype)
    assert got.tolist() == [1, 2, 3]
