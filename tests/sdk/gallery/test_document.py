"""What sdk/docs/gallery.md shows is run."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from documents import Document, run_python
from qcface_sdk.cli import main
from qcface_sdk.cli.gallery import ACTIONS

DOCUMENT = Document.of("sdk/docs/gallery.md")


@pytest.fixture
def folder(tmp_path: Path, astronaut_path: Path) -> Path:
    for name in ("photo.jpg", "door.jpg"):
        shutil.copy(astronaut_path, tmp_path / name)
    (tmp_path / "badges").mkdir()
    shutil.copy(astronaut_path, tmp_path / "badges" / "ann-lee.jpg")
    return tmp_path


def test_python_blocks_run_in_their_order(folder: Path) -> None:
    for code in DOCUMENT.code("python"):
        run_python(code, folder)


def test_commands_run_in_their_order(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    for command in DOCUMENT.commands:
        assert main(shlex.split(command)[1:]) == 0, f"{command}\n{capsys.readouterr().err}"


def test_every_action_is_named() -> None:
    for action in ACTIONS:
        assert f"qcface gallery {action.name} " in DOCUMENT.text or f"`{action.name}`" in DOCUMENT.text
