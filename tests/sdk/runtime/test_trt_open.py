"""Engines are built once, kept, and never used where they do not fit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fake_tensorrt import fake_environment
from qcface_sdk.errors import ModelFormatError, ModelNotFoundError
from qcface_sdk.runtime.engine_store import EngineStore, read_engine
from qcface_sdk.runtime.ort import OrtRunner
from qcface_sdk.runtime.trt_build import BuildOptions, ShapeRange
from qcface_sdk.runtime.trt_open import TrtEnvironment, engine_key, open_trt
from tiny_models import tiny_recognizer

MODEL = tiny_recognizer()


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path)


@pytest.fixture
def here() -> TrtEnvironment:
    return fake_environment()


def opened(store: EngineStore, here: TrtEnvironment, **changes: object) -> int:
    """Open once and return how many engines have been built so far."""
    with open_trt(MODEL, contract="qc1-x", store=store, environment=here, **changes) as runner:  # type: ignore[arg-type]
        crops = np.ones((2, 3, 112, 112), np.float32)
        with OrtRunner(MODEL) as expected:
            wanted = expected.infer({"input": crops})["embedding"]
        np.testing.assert_allclose(runner.infer({"input": crops})["embedding"], wanted, atol=1e-4)
    return int(here.tensorrt.builds)


def test_an_engine_is_built_once(store: EngineStore, here: TrtEnvironment) -> None:
    assert opened(store, here) == 1
    assert opened(store, here) == 1
    info = read_engine(store.path(engine_key(MODEL, BuildOptions(), here.target)))[1]
    assert (info.contract, info.precision, info.target) == ("qc1-x", "fp32", here.target)
    assert dict(info.layer_precisions) == {"fp32": 1}
    assert info.profiles[0].maximum == (16, 3, 112, 112)


@pytest.mark.parametrize("change", [{"sm": "8.6"}, {"tensorrt": "10.3.0"}])
def test_an_engine_of_another_machine_is_built_anew(store: EngineStore, change: dict[str, str]) -> None:
    here = fake_environment()
    opened(store, here)
    moved = dataclasses.replace(here, target=dataclasses.replace(here.target, **change))
    assert opened(store, moved) == 2


@pytest.mark.parametrize("fault", ["truncated", "altered", "sidecar", "older driver"])
def test_a_damaged_engine_is_built_anew(
    store: EngineStore, here: TrtEnvironment, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened(store, here)
    place = store.path(engine_key(MODEL, BuildOptions(), here.target))
    plan = place / "engine.plan"
    if fault == "truncated":
        os.truncate(plan, 100)
    elif fault == "altered":
        plan.write_bytes(plan.read_bytes()[:-1] + b"?")
    elif fault == "sidecar":
        (place / "engine.json").write_bytes(b"{}")
    else:
        here = dataclasses.replace(here, target=dataclasses.replace(here.target, driver="11.8"))
    assert opened(store, here) == 2
    assert "a stored engine is not used" in caplog.text
    assert opened(store, here) == 2


def test_without_building_a_missing_engine_is_an_error(store: EngineStore, here: TrtEnvironment) -> None:
    with pytest.raises(ModelNotFoundError, match=r"no fp32 engine for this model on Fake GPU .*export/build_trt.py"):
        opened(store, here, build=False)


def test_a_build_that_fails_says_why_in_one_line(store: EngineStore, here: TrtEnvironment) -> None:
    here.tensorrt.build_fails = True
    with pytest.raises(ModelFormatError, match="cannot build the engine: no tactic fits the workspace"):
        opened(store, here)
    with pytest.raises(ModelFormatError, match="cannot parse the ONNX file: In node 0"):
        open_trt(b"no onnx", store=store, environment=here)


def test_a_store_that_cannot_be_written_costs_time_only(
    tmp_path: Path, here: TrtEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    blocked = EngineStore(tmp_path / "file")
    assert opened(blocked, here) == 1
    assert opened(blocked, here) == 2
    assert "cannot be kept" in caplog.text


def test_a_stripped_engine_gets_its_weights_from_the_model(store: EngineStore, here: TrtEnvironment) -> None:
    opened(store, here, options=BuildOptions(strip=True))
    assert here.tensorrt.refits == 1
    opened(store, here, options=BuildOptions(strip=True))
    assert (here.tensorrt.refits, here.tensorrt.builds) == (2, 1)


def test_without_a_driver_the_message_says_so_and_nothing_crashes() -> None:
    """In a process of its own: TensorRT without a driver would end it."""
    code = (
        "from qcface_sdk.runtime.trt_open import trt_environment\n"
        "from qcface_sdk.errors import DeviceUnavailableError\n"
        "import sys\n"
        "try:\n    trt_environment()\n"
        "except DeviceUnavailableError as error:\n    print(error)\n"
        "print('tensorrt' in sys.modules)"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    message, imported = done.stdout.strip().splitlines()
    assert "NVIDIA driver" in message
    assert imported == "False"


def test_an_engine_for_other_shapes_or_options_is_taken_before_building(
    store: EngineStore, here: TrtEnvironment
) -> None:
    opened(store, here, options=BuildOptions(batch=ShapeRange(1, 2, 4), level=5))
    assert opened(store, here) == 1
    assert opened(store, here, options=BuildOptions("fp16")) == 2
