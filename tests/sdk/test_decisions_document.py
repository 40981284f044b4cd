"""What sdk/docs/decisions.md shows is run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from documents import Document, check_script, run_commands, run_python
from qcface_sdk import FaceEngine

DOCUMENT = Document.of("sdk/docs/decisions.md")


@pytest.fixture
def folder(tmp_path: Path, astronaut_path: Path, engine: FaceEngine, rng: np.random.Generator) -> Path:
    """Two pictures of one person, and drawn embeddings of many."""
    for name in ("badge.jpg", "door.jpg"):
        shutil.copy(astronaut_path, tmp_path / name)
    rows = np.repeat(rng.normal(size=(80, 512)), 3, axis=0) + rng.normal(size=(240, 512)) / 2
    labels = np.repeat(np.arange(80), 3)
    np.savez(tmp_path / "faces.npz", embeddings=rows.astype(np.float32), labels=labels, contract=engine.contract)
    return tmp_path


@pytest.mark.parametrize("code", DOCUMENT.code("python"), ids=range(len(DOCUMENT.code("python"))))
def test_python_block_runs(code: str, folder: Path) -> None:
    run_python(code, folder)


def test_commands_run_in_their_order(folder: Path) -> None:
    # No folder of 78 people may ship: drawn embeddings stand for one.
    run_commands([line.replace("calibrate people", "calibrate faces.npz") for line in DOCUMENT.commands], folder)
    assert (folder / "site.html").is_file()


@pytest.mark.parametrize("line", DOCUMENT.scripts)
def test_script_exists_and_knows_the_options(line: str) -> None:
    check_script(line)
