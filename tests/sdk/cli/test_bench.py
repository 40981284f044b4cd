from __future__ import annotations

from pathlib import Path

import pytest

from qcface_sdk.benchmark import stages
from qcface_sdk.benchmark.kernels import Comparison
from qcface_sdk.cli import bench

_MADE_UP = Comparison("scan", 1.0, "faiss", 4.0, 0.25, 0.33, "same best row for 16 of 16 probes")
_ALONE = Comparison("scan", 1.0, "faiss", None, None, 0.33, "not compared: pip install faiss-cpu")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_QUICK_SECONDS", 0.0)
    monkeypatch.setattr(bench, "compare_kernels", lambda quick: (_MADE_UP, _ALONE))


def test_bench_json_holds_both_tables(qcface) -> None:
    run = qcface("bench", "--quick", "--json")
    assert run.code == 0
    assert run.err == ""
    document = run.document
    assert document["engine"]["backend"] == "onnxruntime"
    assert [stage["name"] for stage in document["stages"]] == [
        *("read", "detect: resize", "detect: network", "detect: decode, NMS", "align"),
        *("embed: network", "embed: network", "match", "all: engine.get"),
    ]
    for stage in document["stages"]:
        assert 0 < stage["median_ms"] <= stage["p90_ms"]
        assert stage["runs"] >= 5
    assert document["kernels"][0]["ratio"] == 0.25
    assert document["kernels"][1]["reference_ms"] is None


def test_bench_prints_ratios_and_what_was_not_compared(qcface) -> None:
    run = qcface("bench", "--quick", "--only", "kernels")
    assert "0.250" in run.out
    assert "pip install faiss-cpu" in run.out
    assert "detect: network" not in run.out


def test_bench_of_a_picture_times_that_picture(qcface, draw) -> None:
    run = qcface("bench", draw("a.png", (60, 255, 255)), "--quick", "--only", "stages")
    assert run.code == 0
    assert "480 x 320 frame, 1 found" in run.out


def test_bench_of_another_detector_times_that_one(qcface, bundle: Path) -> None:
    run = qcface("bench", "--quick", "--only", "stages", "--detector", bundle / "detector.fp32.onnx", "--json")
    assert run.code == 0
    # 10 network pixels for a face of 40: the scale of a foreign detector, not the 40 of the tiny bundle's own.
    assert run.document["stages"][2]["what"].startswith("480 x 288")


def test_bench_unreadable_picture_is_bad_input(qcface) -> None:
    assert qcface("bench", "/none.png", "--quick").code == 2
