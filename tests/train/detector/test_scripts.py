"""The scripts, end to end on drawn photos: train two steps, export, measure."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import cv2
import pytest
from drawn_faces import drawn_photo

from qcface_export.detector_from_torch import detector_to_onnx
from qcface_train.detector.network import Detector


def script(path: Path) -> Any:
    return runpy.run_path(str(path), run_name="script")["main"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three drawn photos of each split, and one without a face, in the layout of the detection data."""
    folder = tmp_path / "detect"
    (folder / "images").mkdir(parents=True)
    lines = []
    for seed in range(8):
        photo = drawn_photo(seed, faces=0 if seed in (3, 7) else 1)
        name = f"images/{seed}.png"
        cv2.imwrite(str(folder / name), photo.picture)
        faces = [
            {"box": box.tolist(), "points": points.tolist(), "score": 0.9}
            for box, points in zip(photo.boxes, photo.points, strict=True)
        ]
        record = {"image": name, "width": 160, "height": 160, "faces": faces, "ignore": []}
        source = "drawn" if faces else "noface_drawn"
        lines.append(json.dumps({**record, "source": source, "split": "train" if seed < 4 else "val"}))
    (folder / "labels.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_scripts_train_export_and_evaluate_on_drawn_photos(
    data: Path, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher, run, model = tmp_path / "teacher.onnx", tmp_path / "run", tmp_path / "detector.onnx"
    teacher.write_bytes(detector_to_onnx(Detector().eval()).SerializeToString())
    config = tmp_path / "tiny.yaml"
    config.write_text("batch: 1\nsides: [64]\nwarmup: 1\nbfloat16: false\n", encoding="utf-8")
    train = script(repository / "train" / "train_detector.py")
    common = ["--data", str(data), "--teacher", str(teacher)]
    assert train(["--config", str(config), *common, "--output", str(run), "--steps", "2"]) == 0
    export = script(repository / "export" / "to_onnx_detector.py")
    assert export(["--checkpoint", str(run / "checkpoint.pt"), "--output", str(model)]) == 0
    evaluate = script(repository / "train" / "evaluate_detector.py")
    figures = tmp_path / "figures.json"
    assert evaluate(["--model", str(model), *common, "--limit", "0", "--json", str(figures)]) == 0
    stored = json.loads(figures.read_text(encoding="utf-8"))
    assert stored["choice"]["photos"] == 4
    assert stored["photos"][0]["faces_24"] == 3
    assert "recall_24" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["train_detector.py", "evaluate_detector.py"])
def test_scripts_without_data_say_what_is_missing(
    name: str, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = tmp_path / "teacher.onnx"
    teacher.write_bytes(detector_to_onnx(Detector().eval()).SerializeToString())
    arguments = ["--data", str(tmp_path / "nowhere"), "--teacher", str(teacher)]
    if name == "evaluate_detector.py":
        arguments += ["--model", str(teacher)]
    assert script(repository / "train" / name)(arguments) == 1
    assert "labels.jsonl" in capsys.readouterr().err
