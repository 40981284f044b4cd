"""Does an engine fit this machine? Every mismatch by name, before TensorRT sees a byte."""

from __future__ import annotations

import dataclasses
import json
from types import MappingProxyType

import pytest

from engine_files import ENGINE, TARGET, engine_info
from qcface_sdk.errors import EngineMismatchError, ModelFormatError, ModelHashError
from qcface_sdk.runtime.engine_info import EngineInfo, version


def test_sidecar_survives_json() -> None:
    info = engine_info()
    assert EngineInfo.from_json(info.to_json(), "engine.json") == info


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"schema": 1}'])
def test_what_is_no_sidecar_is_a_format_error(data: bytes) -> None:
    with pytest.raises(ModelFormatError, match=r"engine.json is no engine sidecar: .*build_trt.py"):
        EngineInfo.from_json(data, "engine.json")


def test_sidecar_of_another_schema_is_refused() -> None:
    value = {**json.loads(engine_info().to_json()), "schema": 2}
    with pytest.raises(ModelFormatError, match="must have schema 1, got 2"):
        EngineInfo.from_json(json.dumps(value).encode(), "engine.json")


@pytest.mark.parametrize(
    ("engine", "message"),
    [(b"", "truncated"), (ENGINE[:-1], "truncated"), (ENGINE + b"x", "altered"), (b"x" + ENGINE[1:], "altered")],
)
def test_engine_bytes_must_be_those_that_were_built(engine: bytes, message: str) -> None:
    engine_info().check_engine(ENGINE, "engine.plan")
    with pytest.raises(ModelHashError, match=f"engine.plan (is|was) {message}"):
        engine_info().check_engine(engine, "engine.plan")


def test_engine_of_another_model_or_contract_is_refused() -> None:
    engine_info().check_model("a" * 64, "qc1-x", "engine.plan")
    with pytest.raises(EngineMismatchError, match="built from another model"):
        engine_info().check_model("b" * 64, "qc1-x", "engine.plan")
    with pytest.raises(EngineMismatchError, match="gives qc1-x, want qc1-y"):
        engine_info().check_model("a" * 64, "qc1-y", "engine.plan")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tensorrt": "10.13.3"}, "built for TensorRT 10.3.0, this machine has 10.13.3"),
        ({"sm": "8.6"}, "compute capability 8.7, this machine has 8.6"),
        ({"platform": "linux-x86_64"}, "platform linux-aarch64, this machine has linux-x86_64"),
        ({"driver": "12.2"}, "a driver for CUDA 12.6, this machine has 12.2"),
    ],
)
def test_engine_of_another_machine_is_refused_and_the_difference_named(change: dict[str, str], message: str) -> None:
    engine_info().check_target(TARGET, "engine.plan")
    engine_info().check_target(dataclasses.replace(TARGET, driver="13.0"), "engine.plan")
    with pytest.raises(EngineMismatchError, match=message):
        engine_info().check_target(dataclasses.replace(TARGET, **change), "engine.plan")


def test_a_version_compatible_engine_runs_on_the_next_version_only() -> None:
    info = engine_info(options=MappingProxyType({"version compatible": "True"}))
    for fits in ("10.3.0", "10.13.3", "11.4.0"):
        info.check_target(dataclasses.replace(TARGET, tensorrt=fits), "engine.plan")
    for other in ("10.1.0", "8.6.1", "12.0.0"):
        with pytest.raises(EngineMismatchError, match="built for TensorRT"):
            info.check_target(dataclasses.replace(TARGET, tensorrt=other), "engine.plan")


def test_a_hardware_compatible_engine_runs_from_ampere_on() -> None:
    info = engine_info(options=MappingProxyType({"hardware compatible": "True"}))
    for fits in ("8.0", "8.9", "12.0"):
        info.check_target(dataclasses.replace(TARGET, sm=fits), "engine.plan")
    with pytest.raises(EngineMismatchError, match="compute capability"):
        info.check_target(dataclasses.replace(TARGET, sm="7.5"), "engine.plan")


def test_versions_compare_as_numbers() -> None:
    assert version("10.13.3") > version("10.3.0") > version("8.6.1.post1")
