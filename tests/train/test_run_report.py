"""The page of a run: from its log, whole or cut off by a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qcface_train.run_report import ReportError, RunLog, render_run, write_run_report

ROOT = Path(__file__).resolve().parents[2]


def write_log(folder: Path, steps: int = 1000) -> Path:
    folder.mkdir(exist_ok=True)
    lines = []
    for step in range(1, steps + 1):
        entry = {"step": step, "seconds": step / 10, "loss": 5 / step, "id": 3.0, "p": 0.5, "norm": 20.0, "lr": 0.1}
        if step > steps // 2:
            entry["qc"] = 2.0
        lines.append(json.dumps(entry))
    figures = {"accuracy": 0.9, "tar_1e3": 0.5, "ladder": {"blur": -0.95}, "ladder_norms": {"blur": [9, 5, 2]}}
    figures["pairs"] = {"lfw": 0.8}
    lines.append(json.dumps({"step": steps, "samples": steps * 8, "validation": figures}))
    (folder / "log.jsonl").write_text("\n".join(lines) + '\n{"step": 9, "lo')
    return folder


def test_page_shows_all_curves_and_stays_small(tmp_path: Path) -> None:
    page = write_run_report(write_log(tmp_path / "a run & more")).read_text()
    for text in ("Losses", "Norm loss", "Recognizability", "Learning rate", "pictures seen", "lfw", "-0.950"):
        assert text in page
    assert "Training of a run &amp; more" in page
    assert "on from step 501" in page
    assert "<script" not in page
    assert len(page) < 60_000


def test_curve_averages_over_equal_stretches_and_takes_the_later_line(tmp_path: Path) -> None:
    folder = write_log(tmp_path, 1000)
    with (folder / "log.jsonl").open("a") as file:
        file.write('\n{"step": 1000, "seconds": 3, "p": 2.0}\n')
    steps, values = RunLog.read(folder).curve("p")
    assert steps[0] == 3
    assert steps[-1] == 1000
    assert len(steps) == len(values) <= 400
    assert values[-1] == pytest.approx(2.0)  # the last stretch holds step 1000 alone
    assert values[0] == pytest.approx(0.5)


def test_page_of_a_run_without_evaluations_says_so(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "seconds": 2, "loss": 1.0, "lr": 0.1}')
    assert "holds out no identity" in render_run(RunLog.read(tmp_path), "x")


def test_folder_without_a_run_raises_and_the_script_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="holds no run"):
        RunLog.read(tmp_path)
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(ReportError, match="no finished step"):
        RunLog.read(tmp_path)
    command = [sys.executable, str(ROOT / "train/report.py"), str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "holds no run" in done.stderr
    assert "Traceback" not in done.stderr
