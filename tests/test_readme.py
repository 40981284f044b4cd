"""What the README shows is run: every Python block, every `qcface` and script line, every make target."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from documents import REPOSITORY, Document, check_script, run_commands, run_python

README = Document.of("README.md")
PYTHON = README.code("python")


@pytest.fixture
def folder(tmp_path: Path, astronaut_path: Path, hopper_path: Path) -> Path:
    """A working folder with the pictures the README speaks of."""
    for name in ("photo.jpg", "badge.jpg", "photos/collins.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(astronaut_path, tmp_path / name)
    shutil.copy(astronaut_path, tmp_path / "door.jpg")
    shutil.copy(hopper_path, tmp_path / "visitor.jpg")
    shutil.copy(hopper_path, tmp_path / "photos" / "hopper.jpg")
    return tmp_path


def test_readme_has_blocks_of_each_kind() -> None:
    assert PYTHON
    assert README.commands
    assert {language for language, _ in README.blocks} <= {"python", "sh", "text", "json", "toml"}


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_block_runs(code: str, folder: Path) -> None:
    run_python(code, folder)


def test_commands_run_in_their_order(folder: Path) -> None:
    run_commands(README.commands, folder)


@pytest.mark.parametrize("line", README.scripts)
def test_script_exists_and_knows_the_options(line: str) -> None:
    check_script(line)


@pytest.mark.parametrize("line", README.others)
def test_other_line_is_known(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), line
    else:
        assert words[:2] in (["pip", "install"], ["git", "clone"], ["cd", "qcface-sdk"]), line


@pytest.mark.parametrize("text", README.code("toml"), ids=range(len(README.code("toml"))))
def test_configuration_is_understood(text: str, tmp_path: Path) -> None:
    from qcface_sdk.service.loader import load_config

    (tmp_path / "door.toml").write_text(text)
    assert load_config(tmp_path / "door.toml").door


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README.text))))
def test_linked_document_is_there(target: str) -> None:
    assert (REPOSITORY / target).is_file()
