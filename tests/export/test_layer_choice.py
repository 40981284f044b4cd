"""A choice of layers is read as it was written, and fits the table and percentile it was found with alone."""

from __future__ import annotations

import dataclasses

import pytest

from qcface_export.calibration_table import CalibrationTable
from qcface_export.errors import CalibrationError
from qcface_export.layer_choice import VERSION, LayerChoice


def choice(table: CalibrationTable, **changes: object) -> LayerChoice:
    values = {"version": VERSION, "table_sha256": table.sha256, "percentile": 99.999, "layers": ("node_b1", "node_b2")}
    return LayerChoice(**{**values, "search": (), "proof": (), "origin": "tests", **changes})  # type: ignore[arg-type]


def test_choice_is_read_as_it_was_written(small_table: CalibrationTable) -> None:
    written = choice(small_table, search=("a line",))
    assert LayerChoice.from_json(written.to_json()) == written


def test_choice_fits_its_own_table_and_percentile_alone(small_table: CalibrationTable) -> None:
    made = choice(small_table)
    assert made.fits(small_table, 99.999)
    assert not made.fits(small_table, 99.99)
    assert not made.fits(dataclasses.replace(small_table, images=7), 99.999)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"version": 1', b'"version": 2', "version must be 1"),
        (b'"node_b2"', b'"node_b1"', "layers must differ"),
        (b'"origin"', b'"source"', "origin"),
        (b"{", b"", "no choice of layers"),
    ],
)
def test_damaged_choice_is_refused(small_table: CalibrationTable, old: bytes, new: bytes, message: str) -> None:
    data = choice(small_table).to_json()
    assert old in data
    with pytest.raises(CalibrationError, match=message):
        LayerChoice.from_json(data.replace(old, new, 1))
