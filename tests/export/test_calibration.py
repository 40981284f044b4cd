"""Calibration sees what ONNX Runtime computes, counts its percentiles exactly, and always writes the same bytes."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from qcface_export.bundle_packing import INPUT
from qcface_export.calibration import calibrate, network_input
from qcface_export.calibration_table import CalibrationTable
from qcface_export.errors import ExportError
from qcface_export.onnx_graph import Graph
from qcface_export.pictures import PictureSet
from qcface_sdk.runtime.ort import OrtRunner
from small_networks import small_network, small_pictures


def values_of(model: bytes, tensor: str, crops: np.ndarray) -> np.ndarray:
    proto = onnx.load_from_string(model)
    proto.graph.output.append(helper.make_tensor_value_info(tensor, onnx.TensorProto.FLOAT, None))
    with OrtRunner(proto.SerializeToString()) as runner:
        return runner.infer({"input": network_input(crops, INPUT)})[tensor]


@pytest.mark.parametrize("tensor", ["stem", "a_sum", "flat"])
def test_calibrate_percentiles_are_those_of_the_sorted_values(
    small_table: CalibrationTable, small_set: PictureSet, tensor: str
) -> None:
    values = values_of(small_network(), tensor, small_set.crops)
    seen = small_table.tensors[tensor]
    assert (seen.minimum, seen.maximum) == pytest.approx((values.min(), values.max()), rel=1e-5)
    sizes = np.sort(np.abs(values).ravel())
    for percentile in (99.99, 99.999):
        place = min(len(sizes), math.ceil(percentile / 100 * len(sizes))) - 1
        assert seen.percentiles[f"{percentile:g}"] == pytest.approx(sizes[place], rel=1e-5)


def test_calibrate_holds_every_activation_and_the_picture_itself(small_table: CalibrationTable) -> None:
    graph = Graph(small_network())
    assert set(small_table.tensors) == set(graph.activations())
    assert small_table.tensors["input"].minimum >= -1.0
    assert small_table.images == 24


def test_calibrate_twice_gives_equal_bytes(small_table: CalibrationTable, small_set: PictureSet) -> None:
    assert calibrate(small_network(), small_set).to_json() == small_table.to_json()


def test_calibrate_on_other_pictures_names_them_by_another_hash(
    small_table: CalibrationTable, small_set: PictureSet
) -> None:
    renamed = PictureSet(tuple(reversed(small_set.names)), small_set.crops)
    other = PictureSet(small_set.names, small_pictures(24, seed=1))
    assert len({small_set.sha256, renamed.sha256, other.sha256}) == 3
    assert small_table.images_sha256 == small_set.sha256


def test_calibrate_a_model_with_nan_weights_names_the_weight(small_set: PictureSet) -> None:
    proto = onnx.load_from_string(small_network())
    item = next(item for item in proto.graph.initializer if item.name == "b1.weight")
    values = np.array(numpy_helper.to_array(item))
    values[0, 0, 0, 0] = np.nan
    item.CopyFrom(numpy_helper.from_array(values, item.name))
    with pytest.raises(ExportError, match=r"'b1\.weight' holds NaN"):
        calibrate(proto.SerializeToString(), small_set)


@pytest.mark.parametrize("data", [b"", b"no ONNX at all", small_network()[:5000]])
def test_calibrate_something_that_is_no_onnx_file_is_refused(data: bytes, small_set: PictureSet) -> None:
    with pytest.raises(ExportError, match="no valid ONNX file"):
        calibrate(data, small_set)
