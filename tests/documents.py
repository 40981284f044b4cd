"""Reads the code blocks of a Markdown file and runs them as a reader would; every document's test uses it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Document:
    """One Markdown file of the repository and what is in its fenced blocks."""

    text: str
    blocks: tuple[tuple[str, str], ...]
    """(language, code)."""

    @classmethod
    def of(cls, name: str) -> Document:
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        return cls(text, tuple(re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)))

    def code(self, language: str) -> list[str]:
        return [code for found, code in self.blocks if found == language]

    @property
    def shell_lines(self) -> list[str]:
        """Every command of the `sh` blocks, without its comment."""
        lines = [line for code in self.code("sh") for line in code.splitlines()]
        return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]

    @property
    def commands(self) -> list[str]:
        return [line for line in self.shell_lines if line.startswith("qcface ")]

    @property
    def scripts(self) -> list[str]:
        return [line for line in self.shell_lines if line.startswith("python ")]

    @property
    def others(self) -> list[str]:
        return [line for line in self.shell_lines if not line.startswith(("qcface ", "python "))]


def run_python(code: str, folder: Path) -> None:
    """Run a Python block in `folder`; each `# prints ...` comment must appear in its output."""
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for line in re.findall(r"# prints (.+)$", code, re.MULTILINE):
        assert line in done.stdout


def run_commands(commands: list[str], folder: Path, *, allowed: tuple[int, ...] = (0, 1, 3)) -> None:
    """Run `qcface` lines in one folder, in order; a refusal (1, 3) is an answer, an error is not."""
    for command in commands:
        arguments = [sys.executable, "-m", "qcface_sdk.cli", *shlex.split(command)[1:]]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode in allowed, f"{command}: {done.returncode}\n{done.stderr}"
        assert done.stdout, command


def check_script(line: str) -> None:
    """The script of a `python path/script.py --option ...` line exists and knows the options."""
    words = shlex.split(line)
    script = REPOSITORY / words[1]
    assert script.is_file(), line
    if script.parent.name == "examples":
        return
    done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for option in re.findall(r"--[a-z][a-z0-9-]*", line):
        assert option in done.stdout, f"{line}: no {option}"
