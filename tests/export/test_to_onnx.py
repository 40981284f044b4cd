"""`export/to_onnx.py`: what it writes is what was asked for, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import pytest

from qcface_export.equalization import equalize
from qcface_export.errors import CalibrationError, ExportError
from qcface_export.pictures import read_pictures, with_damage
from qcface_sdk.errors import ModelNotFoundError
from scripts import load_script
from small_networks import small_network, small_pictures

Run = Callable[..., int]


@pytest.fixture
def script(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script with the small network in place of a checkpoint's, and a file that is there already."""
    script = load_script(repository, "to_onnx")
    monkeypatch.setattr(script, "network_from_checkpoint", lambda path: None)
    monkeypatch.setattr(script, "checked_onnx", lambda network, inputs: (small_network(outlier=20.0), "agrees"))
    monkeypatch.setattr(script, "check_faces", lambda pictures: None)
    return script


@pytest.fixture
def run(script: ModuleType, tmp_path: Path) -> Run:
    (tmp_path / "crops").mkdir()
    for index, crop in enumerate(small_pictures(8)):
        cv2.imwrite(str(tmp_path / "crops" / f"{index}.png"), crop)
    (tmp_path / "out.onnx").write_bytes(b"of a run before")

    def call(*words: str) -> int:
        given = ["--checkpoint", str(tmp_path / "checkpoint.pt"), "--output", str(tmp_path / "out.onnx")]
        return int(script.main([*given, "--pictures", str(tmp_path / "crops"), *words]))

    return call


def test_each_step_that_was_asked_for_is_in_the_file(run: Run, tmp_path: Path) -> None:
    assert run() == 0
    assert (tmp_path / "out.onnx").read_bytes() == small_network(outlier=20.0)
    assert run("--equalize") == 0
    seen = with_damage(read_pictures([tmp_path / "crops"], 256))
    assert (tmp_path / "out.onnx").read_bytes() == equalize(small_network(outlier=20.0), seen).model


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("check_faces", CalibrationError("only 0 of 8 pictures show a face")),
        ("check_faces", ModelNotFoundError("there is no bundle")),
        ("round_weights", ExportError("leave this step out")),
    ],
    ids=["no faces", "no detector", "rounding"],
)
def test_a_step_that_refuses_leaves_the_file_as_it_was(
    script: ModuleType,
    run: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: Exception,
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(script, step, refuse)
    assert run("--equalize", "--round-weights") == 1
    assert f"error: {error}" in capsys.readouterr().err
    assert (tmp_path / "out.onnx").read_bytes() == b"of a run before"
