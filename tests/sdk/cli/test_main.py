"""The program as a whole: help, usage errors, faults, interruption."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qcface_sdk import cli
from qcface_sdk.cli import COMMANDS, main
from qcface_sdk.errors import QCFaceError

VERBS = (
    "demo",
    "doctor",
    "detect",
    "quality",
    "calibrate",
    "eval",
    "verify",
    "enroll",
    "identify",
    "gallery",
    "embed",
    "run",
    "serve",
    "keys",
    "models",
    "bench",
)


def _replace_run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(args: object) -> cli.ExitCode:
        raise error

    commands = tuple(replace(command, run=fail) if command.name == "models" else command for command in COMMANDS)
    monkeypatch.setattr(cli, "COMMANDS", commands)


def test_main_help_lists_every_command_and_exit_status(qcface) -> None:
    run = qcface("--help")
    assert run.code == 0
    for verb in VERBS:
        assert re.search(rf"\n    {verb}\s", run.out)
    for status in ("0  ", "1  ", "2  ", "3  ", "4  ", "5  ", "70 "):
        assert f"\n  {status}" in run.out


def test_commands_are_the_documented_ones() -> None:
    assert tuple(command.name for command in COMMANDS) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_main_help_of_a_command_has_examples(verb: str, qcface) -> None:
    run = qcface(verb, "--help")
    assert run.code == 0
    assert f"usage: qcface {verb}" in run.out
    assert f"  qcface {verb}" in run.out.split("examples:")[1]
    assert "--json" in run.out or verb in ("run", "serve")  # these two serve until they are stopped
    assert run.err == ""


def test_main_version_is_that_of_the_package(qcface) -> None:
    assert qcface("--version").out.startswith("qcface ")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((), id="no command"),
        pytest.param(("frobnicate",), id="unknown command"),
        pytest.param(("models", "--frobnicate"), id="unknown option"),
        pytest.param(("detect",), id="no picture"),
        pytest.param(("verify", "a.png"), id="one picture to compare"),
        pytest.param(("detect", "a.png", "--threads", "0"), id="zero threads"),
        pytest.param(("detect", "a.png", "--threads", "-2"), id="negative threads"),
        pytest.param(("detect", "a.png", "--threads", "two"), id="threads in words"),
        pytest.param(("detect", "a.png", "--min-face", "-40"), id="negative face"),
        pytest.param(("detect", "a.png", "--min-face", "nan"), id="face of no size"),
        pytest.param(("verify", "a.png", "b.png", "--fmr", "0"), id="zero rate"),
        pytest.param(("verify", "a.png", "b.png", "--fmr", "1.5"), id="rate above one"),
        pytest.param(("identify", "g.db", "a.png", "--top", "0"), id="no candidates"),
        pytest.param(("models", "pack", "a"), id="pack to nowhere"),
        pytest.param(("demo", "--camera", "-1"), id="negative camera"),
        pytest.param(("demo", "--camera", "0", "--video", "a.mp4"), id="camera and video"),
    ],
)
def test_main_wrong_use_is_status_2_with_the_usage(words: tuple[str, ...], qcface) -> None:
    run = qcface(*words)
    assert run.code == 2
    assert run.out == ""
    assert "usage: qcface" in run.err
    assert "Traceback" not in run.err


def test_main_error_is_one_line(qcface, tmp_path: Path) -> None:
    run = qcface("models", "inspect", tmp_path / "nothing")
    assert run.code == 4
    assert run.out == ""
    assert run.err.startswith("qcface: error: ")
    assert run.err.count("\n") == 1


def test_main_debug_shows_the_traceback(qcface, tmp_path: Path) -> None:
    run = qcface("models", "inspect", tmp_path / "nothing", "--debug")
    assert run.code == 4
    assert "Traceback" in run.err
    assert "ModelNotFoundError" in run.err


def test_main_error_over_several_lines_is_joined(monkeypatch: pytest.MonkeyPatch, qcface) -> None:
    _replace_run(monkeypatch, QCFaceError("first\n  second"))
    assert qcface("models").err == "qcface: error: first second\n"


def test_main_unexpected_fault_is_not_taken_for_a_reject(monkeypatch: pytest.MonkeyPatch, qcface) -> None:
    _replace_run(monkeypatch, RuntimeError("boom"))
    run = qcface("models")
    assert run.code == 70
    assert "boom" in run.err


def test_main_operating_system_error_is_one_line_with_the_file(monkeypatch: pytest.MonkeyPatch, qcface) -> None:
    _replace_run(monkeypatch, PermissionError(13, "Permission denied", "/locked/out.png"))
    run = qcface("models")
    assert run.code == 2
    assert run.err == "qcface: error: /locked/out.png: Permission denied\n"


def test_main_interrupted_is_status_130(monkeypatch: pytest.MonkeyPatch, qcface) -> None:
    _replace_run(monkeypatch, KeyboardInterrupt())
    run = qcface("models")
    assert run.code == 130
    assert "Traceback" not in run.err


def test_main_without_a_reader_is_status_141_and_silent(bundle: Path) -> None:
    code = f"import sys; from qcface_sdk.cli import main; sys.exit(main(['models', 'inspect', {str(bundle)!r}]))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    message = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert message == b""


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux alone")
@pytest.mark.parametrize("option", ["--csv", "--json"])
def test_main_file_name_that_is_no_text_is_printed_escaped(option: str, qcface, draw, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    picture = draw("a.png", (60, 255, 255)).read_bytes()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(picture)
    run = qcface("quality", folder, *(["--csv", tmp_path / "q.csv"] if option == "--csv" else ["--json"]))
    assert run.code == 0
    assert "caf\\udce9.png" in run.out


def test_main_without_arguments_reads_those_of_the_process(monkeypatch: pytest.MonkeyPatch, bundle: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["qcface", "models", "verify", str(bundle)])
    assert main() == 0
