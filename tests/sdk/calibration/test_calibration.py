"""The calibration file: what it holds comes back, what is not of the model in use is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from qcface_sdk import Bundle, CalibrationError, FaceEngine, ThresholdUnavailableError
from qcface_sdk.calibration import Calibration
from qcface_sdk.measurements import QualityGate
from tiny_models import tiny_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("calibration") / "bundle")


@pytest.fixture(scope="module")
def shipped(folder: Path) -> Calibration:
    return Calibration.of_bundle(Bundle.load(folder), "recognizer-fp32", "onnxruntime")


def site(shipped: Calibration) -> Calibration:
    """A calibration with other numbers than the bundle's."""
    rows = tuple(
        replace(row, threshold=row.threshold + 0.05, interval=(row.threshold, row.threshold + 0.1))
        for row in shipped.thresholds
    )
    gates = QualityGate(33.0, 0.2, 1e-4, "site"), QualityGate(66.0, 0.1, 1e-4, "site")
    quality = replace(shipped.quality, probe_gate=gates[0], enroll_gate=gates[1], knots=((0.0, 0.0), (10.0, 100.0)))
    return replace(shipped, data="our door", thresholds=rows, quality=quality)


def test_save_and_load_give_the_same(shipped: Calibration, tmp_path: Path) -> None:
    site(shipped).save(tmp_path / "site.json")
    assert Calibration.load(tmp_path / "site.json") == site(shipped)


def test_engine_with_a_calibration_decides_by_it(shipped: Calibration, folder: Path, tmp_path: Path) -> None:
    site(shipped).save(tmp_path / "site.json")
    with FaceEngine(model=folder, calibration=tmp_path / "site.json") as engine, FaceEngine(model=folder) as plain:
        assert engine.threshold(1e-4) == pytest.approx(plain.threshold(1e-4) + 0.05)
        assert engine.search_threshold(1e-2, 10).threshold == pytest.approx(plain.threshold(1e-3) + 0.05)
        assert (engine.retry_below, engine.enroll_below) == (33.0, 66.0)
        assert (plain.retry_below, plain.enroll_below) == (10.0, 20.0)
        assert engine.quality(5.0) == pytest.approx(50.0)
        assert [row.fmr for row in engine.threshold_rows] == [row.fmr for row in plain.threshold_rows]
        assert engine.calibration.data == "our door"


@pytest.mark.parametrize(
    "change", [{"contract": "qc1-" + "0" * 32}, {"runtime": "openvino"}, {"artifact": "recognizer-int8"}]
)
def test_engine_refuses_a_calibration_of_something_else(
    change: dict[str, str], shipped: Calibration, folder: Path
) -> None:
    other = {key: value for key, value in change.items() if key != "contract"}
    quality = replace(shipped.quality, **other)
    with pytest.raises(CalibrationError, match="must be of qc1-.*run qcface calibrate"):
        FaceEngine(model=folder, calibration=replace(shipped, quality=quality, thresholds=(), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema must be 1"),
        ({"note": "x"}, "unknown key note"),
        ({"quality": {}}, "missing key quality"),
        ({"thresholds": [{"fmr": 1}]}, r"missing key thresholds\[0\]"),
        ({"artifact": "recognizer-int8"}, "all entries must be of"),
    ],
)
def test_load_of_a_bad_file_names_the_key(
    change: dict[str, object], message: str, shipped: Calibration, tmp_path: Path
) -> None:
    file = tmp_path / "site.json"
    shipped.save(file)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(CalibrationError, match=message):
        Calibration.load(file)


def test_load_of_a_missing_or_broken_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="cannot read calibration"):
        Calibration.load(tmp_path / "none.json")
    (tmp_path / "half.json").write_bytes(b'{"schema": 1, "contr')
    with pytest.raises(CalibrationError, match=r"half.json: .*must be JSON"):
        Calibration.load(tmp_path / "half.json")


def test_threshold_without_rows_says_so(shipped: Calibration) -> None:
    with pytest.raises(ThresholdUnavailableError, match="has no thresholds"):
        replace(shipped, thresholds=()).threshold(1e-4)
