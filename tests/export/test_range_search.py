"""The search for ranges narrows what is too wide, leaves what is right, and never strains the limits more."""

from __future__ import annotations

import pytest

from qcface_export.calibration_table import SMALL_TENSOR, CalibrationTable, TensorRange
from qcface_export.emit import emit_cpu_int8
from qcface_export.mixed_precision import strain_of
from qcface_export.pictures import PictureSet
from qcface_export.proof import read_limits
from qcface_export.range_search import search_ranges
from small_networks import embed, small_network

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
    assert min(found.factors.values()) < 0.9
    assert found.before == pytest.approx(strain(table, small_set), rel=1e-3)
    assert found.after == pytest.approx(strain(found.table, small_set), rel=1e-3)
    assert f"{next(iter(found.factors))} x" in str(found)
    assert (
        len(told) == sum(seen.numbers >= SMALL_TENSOR for seen in small_table.tensors.values()) - 1
    )  # all but the picture


def test_found_ranges_stand_for_every_percentile_and_belong_to_the_same_model(
    small_table: CalibrationTable, small_set: PictureSet
) -> None:
    found = search_ranges(small_network(), small_table, FORMS, small_set.crops, read_limits())
    found.table.check_model(small_network())
    assert CalibrationTable.from_json(found.table.to_json()) == found.table
    for name, seen in small_table.tensors.items():
        low, high = seen.limits(99.999)
        factor = found.factors.get(name, 1.0)
        for percentile in (99.99, 99.999, 100.0):
            assert found.table.limits(name, percentile) == pytest.approx((low * factor, high * factor))


def test_search_that_finds_nothing_better_changes_nothing(
    small_table: CalibrationTable, small_set: PictureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qcface_export.range_search._LEAST_GAIN", 1.0)
    found = search_ranges(small_network(), small_table, FORMS, small_set.crops, read_limits())
    assert not found.factors
    assert found.after == found.before
