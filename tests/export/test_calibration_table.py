"""A calibration table says what it belongs to, reads back what it wrote, and refuses everything else."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("onnx")

from qcface_export.calibration_table import CalibrationTable, TensorRange
from qcface_export.errors import CalibrationError
from small_networks import small_network


def test_table_reads_back_what_it_wrote(small_table: CalibrationTable) -> None:
    again = CalibrationTable.from_json(small_table.to_json())
    assert again == small_table
    assert again.to_json() == small_table.to_json()
    assert again.sha256 == small_table.sha256


def test_table_of_another_model_is_refused(small_table: CalibrationTable) -> None:
    small_table.check_model(small_network())
    with pytest.raises(CalibrationError, match="calibrate this model"):
        small_table.check_model(small_network(1))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("version", 2, "version must be 1"),
        ("preprocessing_sha256", "0" * 64, "was altered"),
        ("tensors", [], "tensors must be an object"),
        ("extra", 1, "unknown key extra"),
    ],
)
def test_table_with_a_changed_key_is_refused(
    small_table: CalibrationTable, key: str, value: object, message: str
) -> None:
    content = json.loads(small_table.to_json()) | {key: value}
    with pytest.raises(CalibrationError, match=message):
        CalibrationTable.from_json(json.dumps(content).encode())


def test_table_cut_off_anywhere_is_refused(small_table: CalibrationTable) -> None:
    data = small_table.to_json()
    for length in (0, 1, len(data) // 2, len(data) - 3):
        with pytest.raises(CalibrationError, match="no calibration table"):
            CalibrationTable.from_json(data[:length])


def test_limits_clip_at_the_percentile_and_never_widen() -> None:
    seen = TensorRange(-1.0, 9.0, {"99.99": 4.0, "99.999": 8.0}, 100_000)
    assert seen.limits(99.99) == (-1.0, 4.0)
    assert seen.limits(99.999) == (-1.0, 8.0)
    assert seen.limits(100) == (-1.0, 9.0)
    with pytest.raises(CalibrationError, match=r"99\.99, 99\.999, 100"):
        seen.limits(99.9)


def test_limits_of_a_small_tensor_clip_nothing() -> None:
    assert TensorRange(-1.0, 9.0, {"99.99": 4.0}, 512).limits(99.99) == (-1.0, 9.0)


def test_limits_of_an_unknown_tensor_are_refused(small_table: CalibrationTable) -> None:
    with pytest.raises(CalibrationError, match="does not hold tensor 'nothing'"):
        small_table.limits("nothing", 100)
