"""What a run writes down."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tqdm")
pytest.importorskip("torch")
pytest.importorskip("tensorboard")

from qcface_train.journal import Journal

FIGURES = {"loss": 2.0, "id": 1.5, "qc": 0.25, "p": 0.5, "norm": 30.0, "lr": 1.23456789e-7}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_journal_writes_lines_and_curves_under_the_papers_names(tmp_path: Path) -> None:
    with Journal(tmp_path, 49, 60, shown=False, tensorboard=True) as journal:
        journal.step(50, 5.0, 100.0, 60, FIGURES)
        journal.norms(50, np.arange(8.0, dtype=np.float32))
        journal.validation(50, 400, {"accuracy": 0.9, "tar_1e3": 0.5, "ladder": {"blur": -0.9}, "pairs": {"lfw": 0.8}})
    first, second = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    assert (first["step"], first["loss"], first["lr"]) == (50, 2.0, 1.23456789e-7)
    assert second["samples"] == 400
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    tags = board.Tags()
    assert {"loss/L_ID", "loss/L_QC", "training/p", "training/images_per_second"} <= set(tags["scalars"])
    assert {"verification/accuracy", "verification/ladder_blur", "verification/pairs_lfw"} <= set(tags["scalars"])
    assert tags["histograms"] == ["training/norms"]
    assert board.Scalars("loss/L_QC")[0].value == 0.25


def test_journal_of_another_process_writes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path, 0, 5, active=False, tensorboard=True) as journal:
        journal.step(1, 1.0, 1.0, 5, FIGURES)
    assert not list(tmp_path.iterdir())
