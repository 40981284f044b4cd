"""Which backend and which file run, and whose thresholds count."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import qcface_sdk.runtime as runtime_module
from fake_tensorrt import FakeTensorRT, HostMemory, fake_environment
from qcface_sdk import selection
from qcface_sdk.bundle import Bundle
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import (
    BackendUnavailableError,
    DeviceUnavailableError,
    EngineMismatchError,
    ModelNotFoundError,
    ThresholdUnavailableError,
)
from qcface_sdk.measurements import Proof
from qcface_sdk.runtime import trt_open
from qcface_sdk.runtime.trt_open import TrtEnvironment
from qcface_sdk.selection import GpuNotUsedWarning, measured_speeds, open_recognizer
from tiny_models import FP32, INT8, tiny_proof, two_file_bundle


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QCFACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[[float, float], list[int]]:
    """Let FP32 and INT8 take these times; the list grows with every measurement."""

    def pretend(fp32: float, int8: float) -> list[int]:
        measured: list[int] = []

        def measure(runners: object) -> dict[str, float]:
            measured.append(1)
            return {FP32.id: fp32, INT8.id: int8}

        monkeypatch.setattr(selection, "measure_speed", measure)
        return measured

    return pretend


# --- precision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fp32", "int8", "chosen"), [(4.0, 1.5, "int8"), (4.0, 3.9, "fp32"), (1.0, 9.0, "fp32")])
def test_auto_precision_is_the_faster_file_with_its_own_thresholds(
    tmp_path: Path, speeds: Callable[..., list[int]], fp32: float, int8: float, chosen: str
) -> None:
    speeds(fp32, int8)
    with FaceEngine(two_file_bundle(tmp_path / "b", tiny_proof())) as engine:
        assert (engine.backend, engine.precision) == ("onnxruntime", chosen)
        assert engine.threshold(1e-4) == pytest.approx(0.41 if chosen == "int8" else 0.4)
        assert engine.quality([25.0]) == pytest.approx([50.0 if chosen == "int8" else 56.25])


def test_the_speed_is_measured_once_for_a_bundle_and_again_on_request(
    tmp_path: Path, speeds: Callable[..., list[int]]
) -> None:
    measured = speeds(4.0, 1.5)
    bundle = Bundle.load(two_file_bundle(tmp_path / "b", tiny_proof()))
    for _ in range(3):
        open_recognizer(bundle)[1].close()
    assert len(measured) == 1
    assert measured_speeds(bundle, "onnxruntime", again=True) == {FP32.id: 4.0, INT8.id: 1.5}
    assert len(measured) == 2
    open_recognizer(bundle, threads=2)[1].close()
    assert len(measured) == 3
    other = dataclasses.replace(bundle.manifest, version="0.0.2")
    open_recognizer(Bundle.create(other, bundle.files))[1].close()
    assert len(measured) == 4


@pytest.mark.parametrize("content", [b"", b"[]", b'{"recognizer-fp32": 1.0}', b"\xff", b'{"a": NaN}'])
def test_a_damaged_memory_is_measured_again(
    tmp_path: Path, speeds: Callable[..., list[int]], cache: Path, content: bytes
) -> None:
    measured = speeds(4.0, 1.5)
    bundle = Bundle.load(two_file_bundle(tmp_path / "b", tiny_proof()))
    open_recognizer(bundle)[1].close()
    (file,) = (cache / "speed").iterdir()
    file.write_bytes(content)
    open_recognizer(bundle)[1].close()
    assert len(measured) == 2


def test_a_cache_that_cannot_be_written_is_measured_every_time(
    tmp_path: Path, speeds: Callable[..., list[int]], cache: Path
) -> None:
    cache.write_bytes(b"no folder")
    measured = speeds(4.0, 1.5)
    bundle = Bundle.load(two_file_bundle(tmp_path / "b", tiny_proof()))
    for _ in range(2):
        chosen, runner = open_recognizer(bundle)
        runner.close()
        assert chosen.artifact.precision == "int8"
    assert len(measured) == 2


@pytest.mark.parametrize("proofs", [(), (tiny_proof(passed=False),), (tiny_proof(), tiny_proof(passed=False))])
def test_auto_takes_no_file_without_a_proof_that_was_passed(
    tmp_path: Path, speeds: Callable[..., list[int]], proofs: tuple[Proof, ...]
) -> None:
    measured = speeds(4.0, 1.5)
    with FaceEngine(two_file_bundle(tmp_path / "b", *proofs)) as engine:
        assert engine.precision == "fp32"
    assert measured == []
    with FaceEngine(tmp_path / "b", precision="int8") as engine:
        assert engine.precision == "int8"


def test_the_real_measurement_gives_a_time_per_file(tmp_path: Path, cache: Path) -> None:
    found = measured_speeds(Bundle.load(two_file_bundle(tmp_path / "b", tiny_proof())), "onnxruntime")
    assert list(found) == [FP32.id, INT8.id]
    assert all(0 < ms < 10_000 for ms in found.values())


# --- GPU ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, cache: Path) -> TrtEnvironment:
    """A machine whose GPU and TensorRT are fake."""
    here = fake_environment()
    monkeypatch.setattr(trt_open, "trt_environment", lambda: here)
    real = runtime_module.check_backend
    monkeypatch.setattr(runtime_module, "check_backend", lambda name: None if name == "tensorrt" else real(name))
    monkeypatch.setattr(selection, "check_backend", runtime_module.check_backend)
    return here


def test_auto_without_a_gpu_is_onnxruntime_in_silence(tmp_path: Path, cache: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        chosen, runner = open_recognizer(Bundle.load(two_file_bundle(tmp_path / "b")))
        runner.close()
    assert (chosen.backend, chosen.measured_on) == ("onnxruntime", "onnxruntime")


def test_a_gpu_that_was_asked_for_and_is_missing_is_a_loud_warning(tmp_path: Path, cache: Path) -> None:
    with pytest.warns(GpuNotUsedWarning, match="a GPU was asked for, but onnxruntime on the CPU is what runs: .*pip"):
        chosen, runner = open_recognizer(Bundle.load(two_file_bundle(tmp_path / "b")), "gpu")
    runner.close()
    assert chosen.backend == "onnxruntime"


@pytest.mark.parametrize("name", ["tensorrt", "onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_gpu_backend_by_name_is_that_or_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(BackendUnavailableError, match=r"pip install|NVIDIA driver"):
        FaceEngine(two_file_bundle(tmp_path / "b"), backend=name)


def test_a_missing_driver_is_named_where_the_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> None:
        raise DeviceUnavailableError("no NVIDIA driver is installed")

    monkeypatch.setattr(runtime_module.importlib.util, "find_spec", lambda name: dataclasses.make_dataclass("S", [])())
    monkeypatch.setattr(runtime_module, "find_cuda_device", no_driver)
    with pytest.raises(DeviceUnavailableError, match="no NVIDIA driver"):
        runtime_module.check_backend("tensorrt")


def test_tensorrt_by_name_builds_and_takes_the_thresholds_it_agrees_with(
    tmp_path: Path, gpu: TrtEnvironment, rng: np.random.Generator
) -> None:
    crops = rng.integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)
    with FaceEngine(two_file_bundle(tmp_path / "b"), backend="tensorrt") as engine, FaceEngine(tmp_path / "b") as cpu:
        assert (engine.backend, engine.precision) == ("tensorrt", "fp32")
        assert engine.threshold(1e-4) == cpu.threshold(1e-4)
        np.testing.assert_allclose(engine.embed(crops), cpu.embed(crops), atol=1e-4)
        picture = np.zeros((480, 640, 3), np.uint8)
        picture[200:264, 300:364] = 255
        assert len(engine.get(picture)) == len(cpu.get(picture)) == 1
    assert gpu.tensorrt.builds == 2  # recogniser and detector


def test_auto_takes_tensorrt_once_an_engine_is_there_and_never_builds(tmp_path: Path, gpu: TrtEnvironment) -> None:
    folder = two_file_bundle(tmp_path / "b")
    with pytest.warns(GpuNotUsedWarning, match="tensorrt cannot be used .*build_trt.py"), FaceEngine(folder) as engine:
        assert engine.backend == "onnxruntime"
    assert gpu.tensorrt.builds == 0
    FaceEngine(folder, backend="tensorrt").close()
    with FaceEngine(folder) as engine:
        assert engine.backend == "tensorrt"
    assert gpu.tensorrt.builds == 2


def test_a_detector_without_an_engine_runs_on_the_cpu_under_auto(tmp_path: Path, gpu: TrtEnvironment) -> None:
    bundle = Bundle.load(two_file_bundle(tmp_path / "b"))
    open_recognizer(bundle, "tensorrt")[1].close()
    with FaceEngine(tmp_path / "b") as engine:
        assert engine.backend == "tensorrt"
        assert engine.detect(np.zeros((480, 640, 3), np.uint8)) == ()
    assert gpu.tensorrt.builds == 1


def test_an_engine_that_computes_something_else_is_refused(tmp_path: Path, gpu: TrtEnvironment) -> None:
    gpu.tensorrt.scale = 1.01
    with pytest.raises(EngineMismatchError, match=r"magnitude within 0.1%\), got 1.000000 and 1.00%"):
        FaceEngine(two_file_bundle(tmp_path / "b"), backend="tensorrt")


def test_a_file_for_tensorrt_brings_its_own_thresholds(tmp_path: Path, gpu: TrtEnvironment) -> None:
    int8 = dataclasses.replace(INT8, runtimes=("tensorrt",))
    folder = two_file_bundle(tmp_path / "b", tiny_proof(runtime="tensorrt"), int8=int8)
    with FaceEngine(folder, backend="tensorrt") as engine:
        assert (engine.precision, engine.artifact) == ("int8", int8)
        assert engine.threshold(1e-4) == pytest.approx(0.41)
    with pytest.raises(ModelNotFoundError, match="no fp16 recogniser for tensorrt"):
        FaceEngine(folder, backend="tensorrt", precision="fp16")


def test_without_thresholds_for_what_runs_there_is_no_decision(tmp_path: Path, gpu: TrtEnvironment) -> None:
    int8 = dataclasses.replace(INT8, runtimes=("tensorrt",))
    bundle = Bundle.load(two_file_bundle(tmp_path / "b", tiny_proof(runtime="tensorrt"), int8=int8))
    rows = tuple(row for row in bundle.manifest.thresholds if row.runtime != "tensorrt")
    Bundle.create(dataclasses.replace(bundle.manifest, thresholds=rows), bundle.files).save_folder(tmp_path / "c")
    with FaceEngine(tmp_path / "c", backend="tensorrt") as engine, pytest.raises(ThresholdUnavailableError):
        engine.threshold(1e-4)


def test_gpu_takes_tensorrt_before_all_others(tmp_path: Path, gpu: TrtEnvironment) -> None:
    folder = two_file_bundle(tmp_path / "b")
    FaceEngine(folder, backend="tensorrt").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with FaceEngine(folder, backend="gpu") as engine:
            assert engine.backend == "tensorrt"


def test_an_engine_that_fails_to_open_gives_its_memory_back(
    tmp_path: Path, gpu: TrtEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu.tensorrt.scale = float("nan")
    with pytest.raises(EngineMismatchError):
        FaceEngine(two_file_bundle(tmp_path / "b"), backend="tensorrt")
    memory = gpu.memory
    assert isinstance(memory, HostMemory)
    assert isinstance(gpu.tensorrt, FakeTensorRT)
    assert memory.blocks == {}
