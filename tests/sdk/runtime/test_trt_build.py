"""Building engines: on the fake for the options, with TensorRT-RTX, which builds on a CPU, for the real calls."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fake_tensorrt import FakeTensorRT, HostMemory
from qcface_sdk.errors import ModelFormatError, OptionError
from qcface_sdk.runtime.trt_build import BuildOptions, ShapeRange, build_engine, is_strongly_typed, layer_precisions
from tiny_models import tiny_detector, tiny_recognizer


@pytest.fixture
def trt() -> FakeTensorRT:
    return FakeTensorRT(HostMemory())


def test_the_profile_follows_the_model_and_the_options(trt: FakeTensorRT) -> None:
    built = build_engine(trt, tiny_recognizer(), BuildOptions(batch=ShapeRange(1, 2, 8)))
    assert (built.profiles[0].minimum, built.profiles[0].optimum, built.profiles[0].maximum) == (
        (1, 3, 112, 112),
        (2, 3, 112, 112),
        (8, 3, 112, 112),
    )
    detector = build_engine(trt, tiny_detector(), BuildOptions(side=ShapeRange(32, 320, 640))).profiles[0]
    assert (detector.minimum, detector.maximum) == ((1, 3, 32, 32), (1, 3, 640, 640))


def test_options_reach_the_configuration(trt: FakeTensorRT) -> None:
    options = BuildOptions(
        workspace=1 << 20, level=5, hardware_compatible=True, version_compatible=True, strip=True, verbose=False
    )
    build_engine(trt, tiny_recognizer(), options, b"earlier")
    config = trt.last_config
    assert config.limits == {"workspace": 1 << 20}
    assert config.builder_optimization_level == 5
    assert config.hardware_compatibility_level == "ampere"
    assert config.flags == {"vc", "strip", "refit"}
    assert config.cleared == {"tf32"}
    assert options.notes().keys() == {"hardware compatible", "version compatible", "stripped", "level"}


def test_the_timing_cache_comes_back(trt: FakeTensorRT) -> None:
    assert build_engine(trt, tiny_recognizer(), BuildOptions()).timing_cache == b"measured"
    assert build_engine(trt, tiny_recognizer(), BuildOptions(), b"earlier").timing_cache == b"earlier"


def test_a_dla_that_is_not_there_is_said_and_the_gpu_used(trt: FakeTensorRT) -> None:
    built = build_engine(trt, tiny_recognizer(), BuildOptions(dla_core=0))
    assert built.notes == ("this machine has 0 DLA cores, so the engine was built for the GPU",)
    assert not hasattr(trt.last_config, "DLA_core")


def test_a_dla_that_is_there_is_used_with_the_gpu_for_what_it_cannot_run(trt: FakeTensorRT) -> None:
    trt.dla_cores = 2
    built = build_engine(trt, tiny_recognizer(), BuildOptions(dla_core=1))
    assert built.notes == ()
    assert (trt.last_config.DLA_core, trt.last_config.default_device_type) == (1, "dla")
    assert "fallback" in trt.last_config.flags


def test_a_tensorrt_without_strong_typing_gets_leave_to_use_the_types(monkeypatch: pytest.MonkeyPatch) -> None:
    """8.6: flags, and no flag for a type it does not have."""
    trt = FakeTensorRT(HostMemory())
    monkeypatch.setattr(trt, "NetworkDefinitionCreationFlag", SimpleNamespace(EXPLICIT_BATCH=0), raising=False)
    monkeypatch.setattr(
        trt, "BuilderFlag", SimpleNamespace(TF32="tf32", FP16="fp16", INT8="int8", REFIT="refit"), raising=False
    )
    assert not is_strongly_typed(trt)
    build_engine(trt, tiny_recognizer(), BuildOptions("int8"))
    assert trt.last_config.flags == {"int8", "fp16"}
    build_engine(trt, tiny_recognizer(), BuildOptions("fp32"))
    assert trt.last_config.flags == set()
    for options in (BuildOptions("bf16"), BuildOptions(version_compatible=True)):
        with pytest.raises(OptionError, match=r"TensorRT 10.13.3 has no (BF16|VERSION_COMPATIBLE)"):
            build_engine(trt, tiny_recognizer(), options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BuildOptions("int4"),
        lambda: BuildOptions(level=6),
        lambda: ShapeRange(2, 1, 4),
        lambda: ShapeRange(0, 1, 1),
        lambda: ShapeRange(1, 5, 4),
    ],
)
def test_options_out_of_range_are_refused(make: Any) -> None:
    with pytest.raises(OptionError):
        make()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"Layers": []}'])
def test_an_inspection_that_says_nothing_counts_nothing(text: str) -> None:
    assert dict(layer_precisions(text)) == {}


# --- TensorRT-RTX -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu12 is not installed")


def quantised(*, kind: type = np.int8, zero: int = 0, bias: bool = False, channels: int = 3) -> bytes:
    """One convolution between Q/DQ pairs, from `channels` to 64, its weights stored as integers."""
    rng = np.random.default_rng(0)
    constants = {
        "scale": np.float32(0.1),
        "zero": np.array(zero, kind),
        "weight": rng.integers(-127, 128, (64, channels, 3, 3)).astype(np.int8),
        "weight_scale": np.full(64, 0.01, np.float32),
        "weight_zero": np.zeros(64, np.int8),
        "bias": np.arange(64, dtype=np.int32),
        "bias_scale": np.float32(0.001),
        "bias_zero": np.int32(0),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weight", "weight_scale", "weight_zero"], ["w"], axis=0),
        *([helper.make_node("DequantizeLinear", ["bias", "bias_scale", "bias_zero"], ["b"])] if bias else []),
        helper.make_node("Conv", ["x", "w", *(["b"] if bias else [])], ["output"], pads=[1, 1, 1, 1]),
    ]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", count, 16, 16])
        for name, count in (("input", channels), ("output", 64))
    ]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "quantised", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def test_rtx_builds_what_we_build(rtx: Any) -> None:
    assert is_strongly_typed(rtx)
    for model, precision in ((tiny_recognizer(), "fp32"), (quantised(), "int8")):
        built = build_engine(rtx, model, BuildOptions(precision, level=1))
        assert len(built.plan) > 10_000
        assert built.profiles[0].maximum[0] == 16


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(quantised(zero=3), "zero", id="zero point that is not zero"),
        pytest.param(quantised(kind=np.uint8, zero=128), "zero|UInt8|type", id="unsigned with a zero point"),
        pytest.param(quantised(bias=True), "Int32", id="integer bias"),
        pytest.param(b"no onnx at all", "parse", id="no ONNX"),
        pytest.param(tiny_recognizer()[:-100], "parse", id="truncated"),
    ],
)
def test_rtx_refuses_what_tensorrt_refuses(rtx: Any, model: bytes, message: str) -> None:
    with pytest.raises(ModelFormatError, match=f"(?i)cannot parse the ONNX file: .*({message})"):
        build_engine(rtx, model, BuildOptions("int8"))


def test_rtx_keeps_int8_weights_in_one_byte_each(rtx: Any, capsys: pytest.CaptureFixture[str]) -> None:
    build_engine(rtx, quantised(channels=512), BuildOptions("int8", level=1, verbose=True))
    found = re.search(r"Total Weights Memory: (\d+) bytes", capsys.readouterr().out)
    assert found is not None
    assert 1.0 <= int(found[1]) / (64 * 512 * 9) < 1.1
