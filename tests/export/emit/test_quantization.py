"""The arithmetic of 8 bits: what ONNX Runtime's QuantizeLinear gives, and the promises of the scales."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from qcface_export.emit.quantization import (
    Scale,
    asymmetric_scale,
    dequantize_weight,
    fake_quantize,
    least_weight_scales,
    quantize_bias,
    quantize_weight,
    symmetric_scale,
    weight_scales,
)

RANGES = st.tuples(st.floats(-50, 50, width=32), st.floats(-50, 50, width=32)).map(sorted)


def runtime_round_trip(values: np.ndarray, how: Scale) -> np.ndarray:
    constants = [
        numpy_helper.from_array(np.asarray(how.scale), "scale"),
        numpy_helper.from_array(np.asarray(how.zero_point, how.dtype), "zero"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "round_trip",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": values})[0]


@pytest.mark.parametrize(
    "how",
    [asymmetric_scale(-0.3, 1.7), asymmetric_scale(-0.3, 1.7, signed=True), symmetric_scale(-2, 1, half=True)],
    ids=["u8", "s8", "symmetric"],
)
def test_fake_quantize_equals_the_runtime(how: Scale, rng: np.random.Generator) -> None:
    values = rng.normal(0, 1.2, 20_000).astype(np.float32)
    # halves of a step are where rounding rules differ
    values[:1000] = (np.arange(1000) - 500) * 0.5 * how.scale
    np.testing.assert_array_equal(fake_quantize(values, how), runtime_round_trip(values, how))


@given(RANGES)
def test_asymmetric_scale_holds_zero_exactly_and_covers_the_range(limits: list[float]) -> None:
    how = asymmetric_scale(*limits)
    assert fake_quantize(np.zeros(1, np.float32), how)[0] == 0.0
    ends = np.array(limits, np.float32)
    assert np.abs(fake_quantize(ends, how) - ends).max() <= 1.01 * how.scale


@given(RANGES)
def test_symmetric_scale_fits_half_precision_and_has_zero_point_0(limits: list[float]) -> None:
    how = symmetric_scale(*limits, half=True)
    assert how.zero_point == 0
    assert np.float32(np.float16(how.scale)) == how.scale
    ends = np.array(limits, np.float32)
    assert np.abs(fake_quantize(ends, how) - ends).max() <= 1.01 * how.scale


def test_quantize_weight_is_off_by_half_a_step_at_most(rng: np.random.Generator) -> None:
    weight = (rng.normal(size=(6, 4, 3, 3)) * np.geomspace(0.001, 10, 6)[:, None, None, None]).astype(np.float32)
    scales = weight_scales(weight, 0)
    integers = quantize_weight(weight, scales, 0)
    assert integers.min() >= -127
    error = np.abs(dequantize_weight(integers, scales, 0) - weight).reshape(6, -1).max(axis=1)
    assert (error <= 0.5001 * scales).all()


def test_weight_scales_of_one_channel_alone_do_not_hang_on_the_others(rng: np.random.Generator) -> None:
    weight = rng.normal(size=(4, 8)).astype(np.float32)
    larger = weight.copy()
    larger[0] *= 100
    np.testing.assert_array_equal(weight_scales(weight, 0)[1:], weight_scales(larger, 0)[1:])
    assert weight_scales(larger, None).shape == (1,)


def test_quantize_bias_of_a_dead_channel_does_not_overflow() -> None:
    bias = np.array([3.0, -2.0], np.float32)
    weight = np.array([[1e-9], [0.5]], np.float32)
    source = np.float32(0.01)
    scales = weight_scales(weight, 0, least=least_weight_scales(bias, source))
    integers = quantize_bias(bias, source * scales)
    np.testing.assert_allclose(integers * (source * scales), bias, rtol=1e-6)


def test_scales_of_nothing_are_above_zero() -> None:
    assert asymmetric_scale(0, 0).scale > 0
    assert symmetric_scale(0, 0).scale > 0
    assert onnx.numpy_helper.from_array(weight_scales(np.zeros((2, 2), np.float32), 0)).dims == [2]
