"""What the studying scripts share, with a study that measures nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from qcface_sdk.errors import ModelError
from qcface_train.evaluation.study import Figures, run_study, study_parser


def arguments(folder: Path) -> list[str]:
    return ["--model", str(folder / "bundle"), "--lfw", str(folder), "--output", str(folder / "out")]


def test_run_study_writes_both_files_and_prints_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(args: argparse.Namespace) -> Figures:
        return {"replicates": args.replicates}

    parser = study_parser("What is studied.", replicates=7)
    assert run_study(parser, measure, lambda figures: f"{figures['replicates']} x\n", "it", arguments(tmp_path)) == 0
    assert json.loads((tmp_path / "out/it.json").read_text()) == {"replicates": 7}
    assert (tmp_path / "out/it.md").read_text() == "7 x\n"
    assert "7 x" in capsys.readouterr().out


def test_run_study_that_fails_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def measure(args: argparse.Namespace) -> Figures:
        raise ModelError("no such bundle")

    assert run_study(study_parser(None, replicates=7), measure, repr, "it", arguments(tmp_path)) == 1
    assert "no such bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
