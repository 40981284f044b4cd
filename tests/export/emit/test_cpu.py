"""The file for ONNX Runtime computes what fake-quantised NumPy computes, in integers, and the length in float."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from qcface_export.calibration import calibrate
from qcface_export.calibration_table import CalibrationTable
from qcface_export.emit import emit_arm_int8, emit_cpu_int8
from qcface_export.emit.quantization import (
    Scale,
    asymmetric_scale,
    dequantize_weight,
    fake_quantize,
    least_weight_scales,
    quantize_weight,
    weight_scales,
)
from qcface_export.errors import CalibrationError, ExportError
from qcface_export.onnx_graph import Graph
from qcface_export.pictures import PictureSet
from qcface_sdk.runtime import open_runner
from small_networks import embed, run_in_numpy, small_network, small_pictures, to_input


def operators(model: bytes, folder: Path) -> Counter[str]:
    """Count what ONNX Runtime makes of a model."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node)


STORED = ("input", "stem_act", "a1_act", "a2", "a_sum_act", "b1_act", "b2", "b_shortcut", "b_sum_act", "pool")
FEEDS = {"stem": "input", "a1": "stem_act", "a2": "a1_act", "b1": "a_sum_act", "b2": "b1_act"} | {
    "b_shortcut": "a_sum_act",
    "pool": "b_sum_act",
    "project": "pool",
}


def stored_tensors(model: bytes, crops: np.ndarray) -> dict[str, np.ndarray]:
    """What the file keeps of each tensor, computed operator by operator as it is written."""
    proto = onnx.load_from_string(model)
    names = {f"{name}_dequantized": name for name in STORED}
    proto.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = session.run(list(names), {"input": to_input(crops)})
    return dict(zip(names.values(), values, strict=True))


@pytest.mark.parametrize("signed", [False, True], ids=["x86", "arm"])
def test_emit_int8_equals_fake_quantised_numpy_layer_by_layer(small_table: CalibrationTable, signed: bool) -> None:
    model = (emit_arm_int8 if signed else emit_cpu_int8)(small_network(), small_table)
    crops = small_pictures(6, seed=5)
    ours = stored_tensors(model, crops)
    grids = {name: asymmetric_scale(*small_table.limits(name, 99.999), signed=signed) for name in STORED}
    # One step a pixel: 127.5 +- 127.5, moved by half a step so that whole pixels lie on steps.
    grids["input"] = Scale(np.float32(1 / 127.5), 127 - (128 if signed else 0), signed)
    shift = 0.5 / 127.5
    constants = dict(Graph(small_network()).constants)
    constants["stem.bias"] = constants["stem.bias"] - np.float32(shift) * constants["stem.weight"].sum(axis=(1, 2, 3))

    def store(name: str, values: np.ndarray) -> np.ndarray:
        if name.endswith(":shortcut"):
            return values  # on the grid already
        wanted, grid = fake_quantize(values.astype(np.float32), grids[name]), grids[name]
        steps = np.abs(ours[name].reshape(wanted.shape) - wanted) / grid.scale
        # A value on the edge between two steps goes either way, by the order of summation.
        assert steps.max() < 1.01, name
        assert np.mean(steps > 0.01) < 0.002, name
        return ours[name].reshape(wanted.shape).astype(np.float64)

    def weigh(name: str, weight: np.ndarray) -> np.ndarray:
        weight = weight.astype(np.float32)
        scales = weight_scales(
            weight, 0, least=least_weight_scales(constants[f"{name}.bias"], grids[FEEDS[name]].scale)
        )
        return dequantize_weight(quantize_weight(weight, scales, 0), scales, 0).astype(np.float64)

    wanted = run_in_numpy(small_network(), to_input(crops), store, weigh, shift)
    np.testing.assert_allclose(ours["input"], to_input(crops) + shift, atol=1e-6)  # no pixel is rounded
    # The bias is a whole number of steps of input scale x weight scale, about 2e-4 here.
    np.testing.assert_allclose(embed(model, crops, optimised=False), wanted, rtol=1e-4, atol=4e-4)


@pytest.mark.parametrize("emit", [emit_cpu_int8, emit_arm_int8])
def test_emit_int8_in_integer_kernels_equals_what_is_written(small_table: CalibrationTable, emit) -> None:
    model = emit(small_network(), small_table)
    crops = small_pictures(6, seed=5)
    plain = embed(model, crops, optimised=False)
    np.testing.assert_allclose(embed(model, crops), plain, atol=0.02 * np.abs(plain).max())


def test_emit_cpu_int8_becomes_integer_kernels_alone(small_table: CalibrationTable, tmp_path: Path) -> None:
    found = operators(emit_cpu_int8(small_network(), small_table), tmp_path)
    assert found["QLinearConv"] == 7
    assert found["QGemm"] == 1
    assert found["QLinearAdd"] == 2
    assert not found.keys() & {"Conv", "FusedConv", "Gemm", "Relu", "DequantizeLinear"}


def test_emit_cpu_int8_of_prelu_keeps_every_convolution_in_integers(small_set: PictureSet, tmp_path: Path) -> None:
    master = small_network(2, activation="PRelu")
    model = emit_cpu_int8(master, calibrate(master, small_set))
    found = operators(model, tmp_path)
    assert found["QLinearConv"] == 7
    assert found["QGemm"] == 1
    assert not found.keys() & {"Conv", "FusedConv", "PRelu"}
    plain, ours = embed(master, small_set.crops), embed(model, small_set.crops)
    assert np.linalg.norm(plain - ours) < 0.1 * np.linalg.norm(plain)


def test_emit_cpu_int8_stores_one_byte_a_weight(small_table: CalibrationTable) -> None:
    model = emit_cpu_int8(small_network(), small_table)
    weights = [
        item for item in onnx.load_from_string(model).graph.initializer if item.name.endswith("weight_quantized")
    ]
    assert len(weights) == 8
    assert {item.data_type for item in weights} == {onnx.TensorProto.INT8}
    assert not any(item.data_type == onnx.TensorProto.FLOAT and np.prod(item.dims) > 64
                   for item in onnx.load_from_string(model).graph.initializer)  # fmt: skip


def test_emit_cpu_int8_keeps_the_input_and_output_of_the_master(small_table: CalibrationTable) -> None:
    with open_runner(emit_cpu_int8(small_network(), small_table), "onnxruntime") as runner:
        assert [(spec.name, spec.shape, spec.dtype) for spec in runner.inputs] == [
            ("input", (None, 3, 112, 112), np.dtype(np.float32))
        ]
        assert [(spec.name, spec.shape, spec.dtype) for spec in runner.outputs] == [
            ("embedding", (None, 32), np.dtype(np.float32))
        ]


def test_emit_cpu_int8_puts_no_grid_on_the_embedding(small_table: CalibrationTable) -> None:
    crops = small_pictures(50, seed=3)
    norms = np.linalg.norm(embed(emit_cpu_int8(small_network(), small_table), crops), axis=1)
    assert len(np.unique(norms)) == 50


def test_emit_cpu_int8_with_a_layer_in_float_computes_that_layer_in_float(
    small_table: CalibrationTable, tmp_path: Path
) -> None:
    model = emit_cpu_int8(small_network(), small_table, nodes_in_float=["node_b1", "node_stem"])
    found = operators(model, tmp_path)
    assert found["QLinearConv"] == 5
    assert found["Conv"] + found["FusedConv"] == 2


def test_emit_cpu_int8_with_all_layers_in_float_equals_the_master(small_table: CalibrationTable) -> None:
    every = [node.name for node in Graph(small_network()).weighted_nodes()]
    crops = small_pictures(4)
    ours = embed(emit_cpu_int8(small_network(), small_table, nodes_in_float=every), crops)
    np.testing.assert_allclose(ours, embed(small_network(), crops), rtol=1e-4, atol=1e-4)


def test_emit_cpu_int8_is_nearer_with_more_layers_in_float(small_table: CalibrationTable) -> None:
    crops = small_pictures(20, seed=7)
    plain = embed(small_network(), crops)
    layers = [node.name for node in Graph(small_network()).weighted_nodes()]
    errors = [
        np.linalg.norm(embed(emit_cpu_int8(small_network(), small_table, nodes_in_float=layers[:count]), crops) - plain)
        for count in (0, 4, 8)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_emit_twice_gives_equal_bytes(small_table: CalibrationTable) -> None:
    assert emit_cpu_int8(small_network(), small_table) == emit_cpu_int8(small_network(), small_table)


@pytest.mark.parametrize("emit", [emit_cpu_int8, emit_arm_int8])
def test_emit_with_what_does_not_fit_is_refused(emit, small_table: CalibrationTable) -> None:
    with pytest.raises(CalibrationError, match="calibrate this model"):
        emit(small_network(1), small_table)
    with pytest.raises(ExportError, match="no layer 'node_x'; the layers of this model are node_stem"):
        emit(small_network(), small_table, nodes_in_float=["node_x"])
    with pytest.raises(CalibrationError, match="percentile must be one of"):
        emit(small_network(), small_table, percentile=99.0)
