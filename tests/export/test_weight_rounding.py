"""Rounded weights stand on their grids, and cost the outputs less than the nearest ones do."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_export import weight_rounding
from qcface_export.calibration_table import CalibrationTable
from qcface_export.emit import emit_openvino_int8, emit_trt
from qcface_export.emit.quantization import dequantize_weight, quantize_weight, weight_scales
from qcface_export.errors import ExportError
from qcface_export.onnx_graph import Graph, output_axis
from qcface_export.pictures import PictureSet
from qcface_export.weight_rounding import round_rows, round_weights
from small_networks import small_network

Emit = Callable[[bytes, CalibrationTable], bytes]


def _emit_twin(master: bytes, table: CalibrationTable) -> bytes:
    return emit_trt(master, table, "int8-fp32")


def correlated(count: int, seed: int) -> np.ndarray:
    """Sums of products of inputs that mostly go together, as neighbouring pixels do."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(200, 4)) @ rng.normal(size=(4, count)) + 0.3 * rng.normal(size=(200, count))
    return inputs.T @ inputs


def output_error(difference: np.ndarray, moment: np.ndarray) -> float:
    return float(np.trace(difference @ moment @ difference.T))


@settings(max_examples=25, deadline=None)
@given(outputs=st.integers(1, 5), count=st.integers(2, 150), seed=st.integers(0, 1000))
def test_rows_are_whole_steps_and_keep_their_largest_weight(outputs: int, count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(outputs, count))
    steps = np.abs(rows).max(axis=1) / 127
    integers = round_rows(rows, correlated(count, seed), steps) / steps[:, None]
    np.testing.assert_allclose(integers, np.rint(integers), atol=1e-9)
    assert np.abs(integers).max(axis=1) == pytest.approx(127)
    places = np.abs(rows).argmax(axis=1)
    np.testing.assert_allclose(
        np.take_along_axis(integers * steps[:, None], places[:, None], 1),
        np.take_along_axis(rows, places[:, None], 1),
        rtol=1e-9,
    )


@pytest.mark.parametrize("count", [30, 200])
def test_outputs_move_less_than_by_rounding_to_the_nearest(count: int) -> None:
    rows, moment = np.random.default_rng(1).normal(size=(8, count)), correlated(count, 2)
    steps = np.abs(rows).max(axis=1) / 127
    nearest = np.rint(rows / steps[:, None]) * steps[:, None]
    assert output_error(round_rows(rows, moment, steps) - rows, moment) < 0.5 * output_error(nearest - rows, moment)


def test_rows_with_inputs_of_their_own_are_rounded_each_by_its_own() -> None:
    rows, moments = np.random.default_rng(1).normal(size=(3, 20)), np.stack([correlated(20, seed) for seed in range(3)])
    steps = np.abs(rows).max(axis=1) / 127
    together = round_rows(rows, moments, steps)
    for place in range(3):
        alone = round_rows(rows[place : place + 1], moments[place], steps[place : place + 1])
        np.testing.assert_array_equal(together[place], alone[0])


def test_inputs_that_do_not_go_together_leave_the_nearest_weights() -> None:
    rows = np.random.default_rng(1).normal(size=(4, 12))
    steps = np.abs(rows).max(axis=1) / 127
    np.testing.assert_allclose(round_rows(rows, np.eye(12), steps), np.rint(rows / steps[:, None]) * steps[:, None])


def test_a_network_keeps_its_embeddings_and_every_8_bit_form_its_weights(small_set: PictureSet) -> None:
    master = small_network()
    done = round_weights(master, small_set)
    assert done.cosine_mean > 0.9999
    assert done.error_ratio < 0.8
    assert done.layers == len(Graph(master).weighted_nodes())
    assert "mean cosine 0.9999" in str(done) or "mean cosine 1.0000" in str(done)
    graph = Graph(done.model)
    for node in graph.weighted_nodes():
        weight, axis = graph.constants[node.input[1]], output_axis(node)
        steps = weight_scales(weight, axis)
        again = dequantize_weight(quantize_weight(weight, steps, axis), steps, axis)
        np.testing.assert_allclose(again, weight, atol=1e-5 * np.abs(weight).max())


@pytest.mark.parametrize(("emit", "tolerance"), [(emit_openvino_int8, 1e-6), (_emit_twin, 5e-4)])
def test_the_file_for_openvino_holds_rounded_weights_exactly_and_tensorrts_to_fp16_steps(
    small_set: PictureSet, small_table: CalibrationTable, emit: Emit, tolerance: float
) -> None:
    master = round_weights(small_network(), small_set).model
    table = dataclasses.replace(small_table, model_sha256=hashlib.sha256(master).hexdigest())
    before, emitted = Graph(master), Graph(emit(master, table))
    for node in before.weighted_nodes():
        kept = emitted.constants
        names = (f"{node.name}_weight_{part}" for part in ("quantized", "scale"))
        integers, steps = (kept[name] for name in names)
        weight = before.constants[node.input[1]]
        found = dequantize_weight(integers, steps, output_axis(node))
        np.testing.assert_allclose(found, weight, rtol=tolerance, err_msg=node.name)


def test_rounding_is_the_same_each_time(small_set: PictureSet) -> None:
    assert round_weights(small_network(), small_set).model == round_weights(small_network(), small_set).model


def test_a_network_that_does_not_stand_it_is_refused(small_set: PictureSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weight_rounding, "LEAST_COSINE", 1.1)
    with pytest.raises(ExportError, match=r"wanted 1\.1; leave this step out \(export/release\.py --no-rounding\)"):
        round_weights(small_network(), small_set)
