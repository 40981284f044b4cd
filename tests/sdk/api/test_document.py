"""The commands of sdk/docs/api.md, run in their order against a real server."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documents import Document

DOCUMENT = Document.of("sdk/docs/api.md")
QCFACE = [sys.executable, "-m", "qcface_sdk.cli"]


def test_every_path_and_no_other_is_in_the_table() -> None:
    from qcface_sdk.api.app import create_app
    from qcface_sdk.api.settings import ApiSettings
    from qcface_sdk.api.state import ApiState

    app = create_app(ApiState(None, None), ApiSettings(Path("keys.json")))  # type: ignore[arg-type]
    for path in app.openapi()["paths"]:
        assert f"{path}`" in DOCUMENT.text, path


@pytest.mark.skipif(shutil.which("curl") is None, reason="the document's examples use curl")
def test_commands_work(tmp_path: Path, astronaut_path: Path, hopper_path: Path) -> None:
    shutil.copy(astronaut_path, tmp_path / "photo.jpg")
    shutil.copy(hopper_path, tmp_path / "other.jpg")
    first, serve, *rest = DOCUMENT.commands
    made = subprocess.run(
        [*QCFACE, *shlex.split(first)[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    key = made.stdout.split()[0]
    command = [*QCFACE, *shlex.split(serve)[1:], "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            port = serving.stdout.readline().split("127.0.0.1:")[1].split("/")[0]
            answers = []
            for line in DOCUMENT.others[1:]:
                local = line.replace("localhost:8470", f"localhost:{port}").replace(
                    "curl", "curl -4 --fail-with-body", 1
                )
                done = subprocess.run(
                    local, shell=True, cwd=tmp_path, env={**os.environ, "KEY": key}, capture_output=True, text=True
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                answers.append(json.loads(done.stdout))
        finally:
            serving.terminate()
    faces, enrolled, identified, verified, subjects, removed = answers
    assert len(faces["faces"]) == 1
    assert enrolled["subject"] == identified["subject"] == removed["subject"] == "eileen"
    assert verified["decision"] != "accept"
    assert subjects["subjects"] == ["eileen"]
    for line in rest:
        subprocess.run([*QCFACE, *shlex.split(line)[1:]], cwd=tmp_path, timeout=60, check=True, capture_output=True)
