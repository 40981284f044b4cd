"""What the README shows is run: every Python block, every `qcface` and script line, every make target."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
SHELL = [
    line.split("  #")[0].strip()
    for language, code in BLOCKS
    if language == "sh"
    for line in code.splitlines()
    if line.strip() and not line.startswith("#")
]
COMMANDS = [line for line in SHELL if line.startswith("qcface ")]
SCRIPTS = [line for line in SHELL if line.startswith("python ")]
OTHERS = [line for line in SHELL if line not in COMMANDS and line not in SCRIPTS]


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
    assert COMMANDS
    assert {language for language, _ in BLOCKS} <= {"python", "sh", "text", "json"}


@pytest.mark.parametrize("code", PYTHON, ids=range(len(PYTHON)))
def test_python_block_runs(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for line in re.findall(r"# prints (.+)$", code, re.MULTILINE):
        assert line in done.stdout


def test_commands_run_in_their_order(folder: Path) -> None:
    """One folder for all of them, as a reader would type them; a refusal (1, 3) is an answer, an error is not."""
    for command in COMMANDS:
        arguments = [sys.executable, "-m", "qcface_sdk.cli", *shlex.split(command)[1:]]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode in (0, 1, 3), f"{command}: {done.returncode}\n{done.stderr}"
        assert done.stdout, command


@pytest.mark.parametrize("line", SCRIPTS)
def test_script_exists_and_knows_the_options(line: str) -> None:
    words = shlex.split(line)
    script = REPOSITORY / words[1]
    assert script.is_file(), line
    if script.parent.name == "examples":
        return
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for option in re.findall(r"--[a-z-]+", line):
        assert option in done.stdout, f"{line}: no {option}"


@pytest.mark.parametrize("line", OTHERS)
def test_other_line_is_known(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), line
    else:
        assert words[:2] in (["pip", "install"], ["git", "clone"], ["cd", "qcface-sdk"]), line
