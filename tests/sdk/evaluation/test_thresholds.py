from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from qcface_sdk import manifest
from qcface_sdk.errors import OptionError
from qcface_sdk.evaluation.thresholds import calibrate


@pytest.fixture(scope="module")
def rows() -> tuple:
    rng = np.random.default_rng(9)
    labels = np.repeat(np.arange(150), 3)
    embeddings = rng.normal(size=(150, 16))[labels] + 0.7 * rng.normal(size=(450, 16))
    return calibrate(embeddings, labels, (1e-2, 1e-3, 1e-4), replicates=100)


def test_calibrate_rows_come_in_order_with_their_counts(rows: tuple) -> None:
    assert [row.fmr for row in rows] == [1e-2, 1e-3, 1e-4]
    assert {(row.impostors, row.genuines) for row in rows} == {(450 * 449 // 2 - 450, 450)}


def test_calibrate_stricter_rate_has_higher_threshold_and_fnmr(rows: tuple) -> None:
    assert rows[0].threshold < rows[1].threshold < rows[2].threshold
    assert rows[0].fnmr <= rows[1].fnmr <= rows[2].fnmr


def test_calibrate_intervals_hold_their_figures(rows: tuple) -> None:
    for row in rows:
        assert row.interval[0] <= row.threshold <= row.interval[1]
        assert row.fnmr_interval[0] <= row.fnmr <= row.fnmr_interval[1]


def test_calibrate_hundred_thousand_impostors_support_only_the_looser_rates(rows: tuple) -> None:
    assert [row.supported for row in rows] == [True, True, False]


def test_to_dict_with_place_and_origin_makes_a_manifest_row(rows: tuple) -> None:
    fields = json.loads(json.dumps(rows[1].to_dict()))
    filled = {field.name for field in dataclasses.fields(manifest.ThresholdRow)} - {"artifact", "runtime", "origin"}
    assert set(fields) == filled
    fields["interval"] = tuple(fields["interval"])
    manifest.ThresholdRow(artifact="recognizer-fp32", runtime="onnxruntime", origin="test", **fields)


def test_calibrate_rate_out_of_range_raises_option_error() -> None:
    with pytest.raises(OptionError):
        calibrate(np.eye(3), [0, 0, 1], (0.0,))
