"""TensorRT's files: placement, types and zero points as its parser wants them, and the arithmetic they stand for."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from qcface_export.calibration_table import CalibrationTable
from qcface_export.emit import PRECISIONS, emit_trt
from qcface_export.emit.quantization import (
    dequantize_weight,
    fake_quantize,
    quantize_weight,
    symmetric_scale,
    weight_scales,
)
from qcface_export.emit.trt import residual_branches
from qcface_export.errors import CalibrationError, ExportError
from qcface_export.onnx_graph import Graph
from small_networks import embed, run_in_numpy, small_network, small_pictures, to_input


@pytest.fixture(scope="module")
def files(small_table: CalibrationTable) -> dict[str, bytes]:
    return {precision: emit_trt(small_network(), small_table, precision) for precision in PRECISIONS}


def types_of(model: bytes) -> dict[str, int]:
    """Element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(onnx.load_from_string(model), strict_mode=True).graph
    found = {item.name: item.data_type for item in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        found[value.name] = value.type.tensor_type.elem_type
    return found


def test_emit_trt_int8_equals_fake_quantised_numpy(files: dict[str, bytes], small_table: CalibrationTable) -> None:
    crops = small_pictures(6, seed=5)
    grids = {name: symmetric_scale(*small_table.limits(name, 99.999), half=True) for name in small_table.tensors}
    # One step a pixel, moved by half a step; 255 falls on step 128, which the symmetric grid does not have.
    grids["input"] = symmetric_scale(-127 / 127.5, 127 / 127.5, half=True)
    # Inputs of layers and shortcuts are on a grid; what a convolution hands to the sum or the Relu behind it is not.
    on_grid = {"input", "stem_act", "a1_act", "a_sum_act", "b1_act", "b_sum_act", "b_shortcut"}

    def store(name: str, values: np.ndarray) -> np.ndarray:
        if name == "pool":
            name = "flat"  # the grid lies between Reshape and the linear layer
        elif name not in on_grid:
            return values
        return fake_quantize(values.astype(np.float32), grids[name]).astype(np.float64)

    def weigh(name: str, weight: np.ndarray) -> np.ndarray:
        scales = weight_scales(weight.astype(np.float32), 0, half=True)
        return dequantize_weight(quantize_weight(weight.astype(np.float32), scales, 0), scales, 0).astype(np.float64)

    wanted = run_in_numpy(small_network(), to_input(crops), store, weigh, 0.5 / 127.5)
    ours = embed(files["int8-fp32"], crops, optimised=False)
    np.testing.assert_allclose(ours, wanted, atol=4e-3 * np.abs(wanted).max())


@pytest.mark.parametrize("precision", ["int8", "int8-fp32", "fp8"])
def test_emit_trt_quantises_inputs_of_layers_and_shortcuts_alone(files: dict[str, bytes], precision: str) -> None:
    graph = Graph(files[precision])
    for node in graph.weighted_nodes() + [node for node in graph.nodes if node.op_type in ("Conv", "Gemm")]:
        for place in (0, 1):
            maker = graph.maker(node.input[place])
            assert maker is not None
            assert maker.op_type == "DequantizeLinear", node.name
        assert node.input[2] in graph.constants, "a bias must not be quantised"
    quantised = {node.input[0] for node in graph.nodes if node.op_type == "QuantizeLinear"}
    of_input = {name for name in quantised if name.startswith("input")}
    assert len(of_input) == 1
    assert quantised == of_input | {"stem_act", "a1_act", "a_sum_act", "b1_act", "b_shortcut", "b_sum_act", "flat"}


@pytest.mark.parametrize(("precision", "kind"), [("int8", np.int8), ("int8-fp32", np.int8), ("fp8", None)])
def test_emit_trt_has_zero_points_of_zero_and_one_byte_weights(files: dict[str, bytes], precision: str, kind) -> None:
    graph = Graph(files[precision])
    for node in graph.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = graph.constants[node.input[2]]
            assert not zero.astype(np.float32).any()
            assert zero.dtype.itemsize == 1
            if kind is not None:
                assert zero.dtype == kind


@pytest.mark.parametrize("precision", ["fp16", "bf16", "int8", "fp8"])
def test_emit_trt_computes_in_half_floats_up_to_an_fp32_tail(files: dict[str, bytes], precision: str) -> None:
    element = TensorProto.BFLOAT16 if precision == "bf16" else TensorProto.FLOAT16
    found = types_of(files[precision])
    graph = Graph(files[precision])
    assert found["input"] == found["embedding"] == TensorProto.FLOAT
    *layers, last = [node for node in graph.nodes if node.op_type in ("Conv", "Gemm")]
    assert {found[name] for node in layers for name in (*node.input, *node.output)} == {element}
    assert {found[name] for name in (*last.input, *last.output)} == {TensorProto.FLOAT}


def test_emit_trt_fp16_is_close_to_the_master_and_fp32_equals_it(files: dict[str, bytes]) -> None:
    crops = small_pictures(4)
    plain = embed(small_network(), crops)
    np.testing.assert_allclose(embed(files["fp32"], crops), plain, rtol=1e-5, atol=1e-5)
    half = embed(files["fp16"], crops)
    assert 0 < np.abs(half - plain).max() < 0.01 * np.abs(plain).max()


def test_emit_trt_lowest_opset_for_tensorrt_8(files: dict[str, bytes]) -> None:
    for precision in ("fp32", "int8-fp32"):
        assert onnx.load_from_string(files[precision]).opset_import[0].version == 17


def test_emit_trt_int8_and_its_twin_hold_the_same_integers(files: dict[str, bytes]) -> None:
    half, full = Graph(files["int8"]).constants, Graph(files["int8-fp32"]).constants
    names = [name for name in full if name.endswith("_quantized")]
    assert len(names) == 8
    for name in names:
        np.testing.assert_array_equal(half[name], full[name])
        scale = name.replace("_quantized", "_scale")
        np.testing.assert_array_equal(half.get(f"{scale}_half", half.get(scale)).astype(np.float32), full[scale])


def test_emit_trt_with_layers_in_float_leaves_them_alone(small_table: CalibrationTable) -> None:
    for precision in ("int8-fp32", "int8"):
        model = emit_trt(small_network(), small_table, precision, nodes_in_float=["node_b2", "node_project"])
        graph = Graph(model)
        quantised = [node.name for node in graph.nodes if node.op_type in ("Conv", "Gemm")
                     and graph.maker(node.input[1]) is not None]  # fmt: skip
        assert len(quantised) == 6
        assert not {"node_b2", "node_project"} & set(quantised)
    assert types_of(model)["embedding"] == TensorProto.FLOAT


def test_residual_branches_are_the_shortcuts() -> None:
    assert residual_branches(Graph(small_network())) == {"node_a_sum": "stem_act", "node_b_sum": "b_shortcut"}


def test_emit_trt_fp16_of_a_weight_beyond_its_range_names_it() -> None:
    proto = onnx.load_from_string(small_network())
    item = next(item for item in proto.graph.initializer if item.name == "b1.bias")
    item.CopyFrom(numpy_helper.from_array(np.full(16, 1e6, np.float32), item.name))
    with pytest.raises(ExportError, match=r"'b1\.bias' goes beyond 65504"):
        emit_trt(proto.SerializeToString(), None, "fp16")


def test_emit_trt_with_what_does_not_fit_is_refused(small_table: CalibrationTable) -> None:
    with pytest.raises(ExportError, match="precision must be one of fp32"):
        emit_trt(small_network(), small_table, "int4")
    with pytest.raises(CalibrationError, match="needs a calibration table"):
        emit_trt(small_network(), None, "int8")
    with pytest.raises(CalibrationError, match="calibrate this model"):
        emit_trt(small_network(1), small_table, "int8")
