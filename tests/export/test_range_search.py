"""The search for ranges narrows what is too wide, leaves what is right, and never strains the limits more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from qcface_export.calibration_table import SMALL_TENSOR, CalibrationTable, TensorRange
from qcface_export.emit import emit_cpu_int8
from qcface_export.mixed_precision import strain_of
from qcface_export.pictures import PictureSet
from qcface_export.proof import read_limits
from qcface_export.range_search import search_ranges
from small_networks import embed, small_network, to_input

FORMS = {"onnxruntime": "onnxruntime"}


def widened(table: CalibrationTable, name: str, factor: float) -> CalibrationTable:
    """A table that takes one tensor for much larger than it is."""
    seen = table.tensors[name]
    ends = {percentile: value * factor for percentile, value in seen.percentiles.items()}
    wide = TensorRange(seen.minimum * factor, seen.maximum * factor, ends, seen.numbers)
    return table.with_ranges({**table.tensors, name: wide})


def strain(table: CalibrationTable, pictures: PictureSet) -> float:
    before = embed(small_network(), pictures.crops)
    after = embed(emit_cpu_int8(small_network(), table), pictures.crops)
    return strain_of(before, after, read_limits())[2]


@pytest.fixture(scope="module")
def loudest(small_table: CalibrationTable, small_set: PictureSet) -> str:
    """The tensor whose grid matters most."""
    inside = [name for name, seen in small_table.tensors.items() if seen.numbers >= SMALL_TENSOR]
    return max(inside, key=lambda name: strain(widened(small_table, name, 4.0), small_set))


def test_search_takes_back_most_of_what_a_range_too_wide_costs(
    small_table: CalibrationTable, small_set: PictureSet, loudest: str
) -> None:
    table = widened(small_table, loudest, 4.0)
    told: list[str] = []
    found = search_ranges(small_network(), table, FORMS, small_set.crops, read_limits(), progress=told.append)
    assert found.after < found.before / 2
    assert min(high for _, high in found.factors.values()) < 0.9
    assert found.before == pytest.approx(strain(table, small_set), rel=1e-3)
    assert found.after == pytest.approx(strain(found.table, small_set), rel=1e-3)
    assert f"{next(iter(found.factors))} x" in str(found)
    assert len(told) == len(small_table.tensors) - 1  # all but the picture


def test_found_ranges_stand_for_every_percentile_and_belong_to_the_same_model(
    small_table: CalibrationTable, small_set: PictureSet
) -> None:
    found = search_ranges(small_network(), small_table, FORMS, small_set.crops, read_limits())
    found.table.check_model(small_network())
    assert found.table.is_searched
    assert CalibrationTable.from_json(found.table.to_json()) == found.table
    for name, seen in small_table.tensors.items():
        low, high = seen.limits(99.999)
        below, above = found.factors.get(name, (1.0, 1.0))
        for percentile in (99.99, 99.999, 100.0):
            assert found.table.limits(name, percentile) == pytest.approx((low * below, high * above))


def test_search_that_finds_nothing_better_changes_only_what_the_relu_cuts_off(
    small_table: CalibrationTable, small_set: PictureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcface_export.range_search._LEAST_GAIN", 1.0)
    found = search_ranges(small_network(), small_table, FORMS, small_set.crops, read_limits())
    assert list(found.factors) == ["b_shortcut"]  # reaches further below 0 than b2 above
    assert found.table.limits("b_shortcut", 100.0)[0] == pytest.approx(-small_table.tensors["b2"].maximum)
    assert found.after < found.before


def reaching_down(table: CalibrationTable, name: str, factor: float) -> CalibrationTable:
    """A table that takes one tensor for one that reaches much further below 0 than it does."""
    seen = table.tensors[name]
    low = replace(seen, minimum=seen.minimum * factor, percentiles=dict.fromkeys(seen.percentiles, math.inf))
    return table.with_ranges({**table.tensors, name: low})


def test_low_end_that_the_relu_cuts_off_is_raised_without_a_search(
    small_table: CalibrationTable, small_set: PictureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcface_export.range_search._LEAST_GAIN", 1.0)
    table = reaching_down(small_table, "a2", 20.0)
    found = search_ranges(small_network(), table, FORMS, small_set.crops, read_limits())
    assert set(found.factors) == {"a2", "b_shortcut"}
    low, high = found.table.limits("a2", 99.999)
    assert low == pytest.approx(-small_table.tensors["stem_act"].maximum)
    assert high == pytest.approx(small_table.tensors["a2"].maximum)
    assert found.after < found.before
    summand, shortcut = activations(("a2", "stem_act"), small_set)
    summand = summand * 20.0  # so that much of it lies below the bound
    assert (summand < low).any()
    np.testing.assert_array_equal(
        np.maximum(np.maximum(summand, np.float32(low)) + shortcut, 0), np.maximum(summand + shortcut, 0)
    )


def test_low_end_of_a_small_summand_is_searched_and_no_other_range_of_small_tensors(
    small_table: CalibrationTable, small_set: PictureSet
) -> None:
    table = reaching_down(small_table, "b2", 20.0)
    assert table.tensors["b2"].numbers < SMALL_TENSOR
    found = search_ranges(small_network(), table, FORMS, small_set.crops, read_limits())
    assert table.tensors["b2"].minimum * 0.15 < found.table.limits("b2", 100.0)[0]
    for name, (below, above) in found.factors.items():
        if table.tensors[name].numbers < SMALL_TENSOR:
            assert name in ("b2", "b_shortcut")
            assert above == 1.0 != below


def activations(names: Sequence[str], pictures: PictureSet) -> list[np.ndarray]:
    """What some tensors of the small network are on pictures."""
    model = onnx.load_from_string(small_network())
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"input": to_input(pictures.crops)})
