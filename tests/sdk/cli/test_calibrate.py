"""`qcface calibrate`: from a folder of people to a file the engine decides by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcface_sdk import FaceEngine
from qcface_sdk.calibration import Calibration

PEOPLE = 30


@pytest.fixture
def people(draw, rng: np.random.Generator, tmp_path: Path) -> Path:
    """Three pictures each of some people, who are colours; one picture without a face."""
    for number in range(PEOPLE):
        colour = 175 + rng.integers(0, 75, 3)
        for picture in range(3):
            shade = np.clip(colour + rng.integers(-6, 7, 3), 0, 255)
            draw(f"people/P{number:02d}/{picture}.png", tuple(int(value) for value in shade))
    draw("people/P00/empty.png")
    return tmp_path / "people"


def test_calibrate_writes_a_file_the_engine_decides_by(qcface, people: Path, bundle: Path, tmp_path: Path) -> None:
    output, page = tmp_path / "site.json", tmp_path / "site.html"
    run = qcface("calibrate", people, "--output", output, "--report", page, "--ladder-faces", "2",
                 "--replicates", "20", "--model", bundle)  # fmt: skip
    assert run.code == 0, run.err
    assert "1 without a face" in run.err
    assert "is refused: it needs 30,000,000 impostor pairs" in run.out
    made = Calibration.load(output)
    assert made.data == "people"
    with FaceEngine(model=bundle, calibration=output) as engine:
        assert engine.threshold(1e-2) == made.threshold(1e-2).threshold
    text = page.read_text()
    assert text.count("<svg") == 3
    assert "P07" not in text + output.read_text()
    assert "<script" not in text


def test_calibrate_json_of_an_npz_gives_the_figures(qcface, bundle: Path, tmp_path: Path, rng) -> None:
    file = tmp_path / "faces.npz"
    rows = np.repeat(rng.normal(size=(60, 512)), 2, axis=0) + rng.normal(size=(120, 512)) / 4
    contract = FaceEngine(model=bundle).contract
    np.savez(file, embeddings=rows.astype(np.float32), labels=np.repeat(np.arange(60), 2), contract=contract)
    arguments = ("calibrate", file, "--output", tmp_path / "s.json", "--replicates", "20", "--model", bundle)
    document = qcface(*arguments, "--json").document
    assert (document["faces"], document["people"]) == (120, 60)
    assert [row["supported"] for row in document["thresholds"]] == [True, False, False, False, False]
    np.savez(file, embeddings=rows.astype(np.float32), labels=np.repeat(np.arange(60), 2), contract="qc1-other")
    run = qcface(*arguments)
    assert run.code == 5
    assert "qc1-other" in run.err


@pytest.mark.parametrize("kind", ["missing", "empty", "flat", "one person", "one picture each", "no face", "not npz"])
def test_calibrate_of_what_cannot_be_calibrated_is_one_line(
    kind: str, qcface, draw, bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "people"
    wanted = {
        "missing": "does not exist",
        "empty": "one folder of pictures per person",
        "flat": "one folder of pictures per person",
        "one person": "two people",
        "one picture each": "two faces of one person",
        "no face": "shows a face",
        "not npz": "neither a folder nor an .npz",
    }
    if kind == "not npz":
        folder.write_text("text")
    elif kind != "missing":
        folder.mkdir()
    if kind == "flat":
        draw("people/a.png", (200, 200, 200))
    elif kind == "one person":
        for name in ("a", "b"):
            draw(f"people/ann/{name}.png", (200, 200, 255))
    elif kind == "one picture each":
        draw("people/ann/a.png", (200, 200, 255))
        draw("people/bob/a.png", (255, 200, 200))
    elif kind == "no face":
        draw("people/ann/a.png")
    run = qcface("calibrate", folder, "--output", tmp_path / "site.json", "--model", bundle)
    assert run.code == 2
    assert wanted[kind] in run.err
    assert run.err.count("\n") == 1
    assert not (tmp_path / "site.json").exists()
