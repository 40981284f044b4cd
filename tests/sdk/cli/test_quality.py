from __future__ import annotations

import csv
from pathlib import Path

ANN, BOB = (60, 255, 255), (255, 60, 255)


def test_quality_json_is_one_line_per_face_best_first(qcface, draw) -> None:
    run = qcface("quality", draw("b.png", BOB), draw("both.png", ANN, BOB), "--json")
    assert run.code == 0
    assert run.err == ""
    assert len(run.lines) == 3
    qualities = [line["quality"] for line in run.lines]
    assert qualities == sorted(qualities, reverse=True)
    for line in run.lines:
        assert 0 <= line["quality"] <= 100
        assert 0 <= line["recognizability"] <= 1
        assert line["magnitude"] > 0
        assert line["usable"] is True


def test_quality_below_the_gate_is_marked_retry(qcface, draw, poor_bundle: Path) -> None:
    run = qcface("quality", draw("a.png", ANN), "--model", poor_bundle)
    assert run.code == 0
    assert run.out.splitlines()[-1].endswith("retry")


def test_quality_without_a_face_asks_to_retry_and_says_where(qcface, draw) -> None:
    run = qcface("quality", draw("a.png", ANN), draw("empty.png"), "--json")
    assert run.code == 3
    assert "error" in run.lines[1]
    assert "empty.png shows no face" in run.err


def test_quality_csv_holds_the_table(qcface, draw, tmp_path: Path) -> None:
    table = tmp_path / "quality.csv"
    assert qcface("quality", draw("both.png", ANN, BOB), "--csv", table).code == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"file", "face", "quality", "recognizability", "magnitude", "size"} <= rows[0].keys()
    assert float(rows[0]["size"]) == 80


def test_quality_csv_into_a_missing_folder_is_bad_input(qcface, draw, tmp_path: Path) -> None:
    run = qcface("quality", draw("a.png", ANN), "--csv", tmp_path / "none" / "q.csv")
    assert run.code == 2
    assert "No such file or directory" in run.err
