"""On a machine with a GPU and TensorRT: the real thing. Nobody has run these yet; export/TENSORRT.md says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fake_tensorrt import DeviceTensor
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.runtime.engine_store import EngineStore
from qcface_sdk.runtime.ort import OrtRunner
from qcface_sdk.runtime.trt_build import BuildOptions, ShapeRange
from qcface_sdk.runtime.trt_open import TrtEnvironment, open_trt, trt_environment
from tiny_models import tiny_recognizer, two_file_bundle

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def here() -> TrtEnvironment:
    try:
        return trt_environment()
    except BackendUnavailableError as error:
        pytest.skip(f"no GPU with TensorRT: {error}")


def test_engine_equals_onnx_runtime_plainly_in_parts_and_as_a_graph(
    here: TrtEnvironment, tmp_path: Path, rng: np.random.Generator
) -> None:
    crops = rng.uniform(-1, 1, (11, 3, 112, 112)).astype(np.float32)
    with OrtRunner(tiny_recognizer()) as cpu:
        expected = cpu.infer({"input": crops})["embedding"]
    options = BuildOptions(batch=ShapeRange(1, 1, 4))
    with open_trt(tiny_recognizer(), options, store=EngineStore(tmp_path), environment=here) as runner:
        for _ in range(4):
            np.testing.assert_allclose(runner.infer({"input": crops})["embedding"], expected, atol=1e-2)
            np.testing.assert_allclose(runner.infer({"input": crops[:1]})["embedding"], expected[:1], atol=1e-2)


def test_arrays_on_the_gpu_are_taken_from_there(here: TrtEnvironment, tmp_path: Path, rng: np.random.Generator) -> None:
    crops = rng.uniform(-1, 1, (2, 3, 112, 112)).astype(np.float32)
    memory = here.memory
    with memory.active():
        stream, address, pinned = memory.open_stream(), memory.allocate(crops.nbytes), memory.pin(crops.nbytes)
        pinned[:] = crops.view(np.uint8).ravel()
        memory.upload(address, pinned, stream)
        memory.synchronize(stream)
    there = DeviceTensor(crops)
    there.__cuda_array_interface__["data"] = (address, False)
    with open_trt(tiny_recognizer(), store=EngineStore(tmp_path), environment=here) as runner:
        wanted = runner.infer({"input": crops})["embedding"]
        got = runner.infer({"input": there})["embedding"]  # type: ignore[dict-item]
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.usefixtures("here")
def test_face_engine_builds_once_and_finds_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QCFACE_CACHE", str(tmp_path / "cache"))
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[200:264, 300:364] = 255
    folder = two_file_bundle(tmp_path / "bundle")
    for _ in range(2):
        with FaceEngine(folder, backend="tensorrt") as engine:
            assert len(engine.get(picture)) == 1
    assert len(list((tmp_path / "cache" / "engines").iterdir())) == 2
