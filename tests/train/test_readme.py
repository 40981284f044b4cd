"""The training document: its commands are commands of the scripts, its keys and recipes exist."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from documents import Document, check_script

pytest.importorskip("torch")
pytest.importorskip("yaml")

from qcface_train.arguments import DataArguments, LossArguments, ModelArguments, RunArguments

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = Document.of("train/README.md")
PARTS = {"data": DataArguments, "loss": LossArguments, "model": ModelArguments, "run": RunArguments}


@pytest.mark.parametrize("line", [line for line in DOCUMENT.shell_lines if line.startswith("python ")])
def test_commands_are_accepted_by_the_scripts(line: str) -> None:
    check_script(line)


def test_torchrun_lines_name_recipes_and_options_that_exist() -> None:
    lines = [line for line in DOCUMENT.shell_lines if line.startswith("torchrun")]
    assert lines
    for line in lines:
        script, recipe = re.findall(r"train/\S+", line)[:2]
        assert (ROOT / script).is_file()
        assert (ROOT / recipe).is_file()


def test_keys_and_recipes_that_the_document_names_exist() -> None:
    text = (ROOT / "train/README.md").read_text()
    keys = set(re.findall(r"`(data|loss|model|run)\.(\w+)", text))
    assert len(keys) > 15
    for part, key in keys:
        assert key in {field.name for field in dataclasses.fields(PARTS[part])}, f"{part}.{key}"
    for name in re.findall(r"`([\w*]+)\.yaml`", text):
        assert list((ROOT / "train/configs").glob(f"{name}.yaml")), name
    for stem in re.findall(r"`(paper_\w+_)\*`", text):
        assert len(list((ROOT / "train/configs").glob(f"{stem}*.yaml"))) == 2


def test_one_command_trains_draws_a_bar_and_writes_curves_and_a_report(tmp_path: Path) -> None:
    """The tiny recipe as a new user runs it, with fewer steps."""
    text = (ROOT / "train/configs/tiny.yaml").read_text()
    assert "steps: 100 " in text
    (tmp_path / "tiny.yaml").write_text(text.replace("steps: 100 ", "steps: 6 "))
    out = tmp_path / "run"
    command = [sys.executable, str(ROOT / "train/train.py"), str(tmp_path / "tiny.yaml"), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert "img/s" in done.stderr
    assert f"report: {out / 'report.html'}" in done.stdout
    assert "Held-out identities" in (out / "report.html").read_text()
    assert list((out / "tensorboard").iterdir())
    assert (out / "weights.pt").is_file()


def test_own_recipe_goes_on_from_the_kept_weights_with_folders_of_crops(tmp_path: Path) -> None:
    """The commands for one's own photographs, from the crops on, with drawn people and two steps."""
    import cv2

    from qcface_train.arguments import Recipe
    from qcface_train.drawing import draw_faces
    from qcface_train.opening import open_trainer

    faces = draw_faces(25, 4, 1)
    for row, (picture, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        place = tmp_path / f"data/crops/person {label}/{row}.jpg.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(place), picture[..., ::-1])
    text = (ROOT / "train/configs/own.yaml").read_text()
    assert "batch: 128 " in text
    (tmp_path / "own.yaml").write_text(text.replace("batch: 128 ", "batch: 8 "))
    recipe = Recipe.from_yaml(tmp_path / "own.yaml")
    trainer = open_trainer(recipe, tmp_path / "data", tmp_path / "cache", tmp_path / "run")
    trainer.start_from(ROOT / "train/weights/edge.pt")
    assert trainer.classifier.classes == 5
    assert len(trainer.split.held_out_rows) == 80
    assert trainer.plan.steps == 12 * 20 // 8
    figures = [trainer.train_step(trainer.make_batch(step)) for step in range(2)]
    assert all(figure["loss"] > 0 for figure in figures)


def test_run_inside_the_source_tree_is_refused(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "train/train.py"),
        str(ROOT / "train/configs/tiny.yaml"),
        "--out",
        "train/runs",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "lies inside the source tree" in done.stderr
    assert not (ROOT / "train/runs").exists()
