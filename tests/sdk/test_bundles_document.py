"""What sdk/docs/bundles.md shows works as shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from documents import Document, run_commands, run_python
from qcface_sdk.bundle import Bundle
from qcface_sdk.selection import AUTO_ORDER
from tiny_models import tiny_bundle

DOCUMENT = Document.of("sdk/docs/bundles.md")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Bundle.pack(tiny_bundle(tmp_path / "tiny"), tmp_path / "my.qcface")
    return tmp_path


def test_commands_run_as_written(folder: Path) -> None:
    assert DOCUMENT.others == []
    run_commands(DOCUMENT.commands, folder, allowed=(0,))


def test_python_runs_as_written(folder: Path) -> None:
    for code in DOCUMENT.code("python"):
        run_python(code, folder)


def test_the_order_of_auto_is_the_documented_one() -> None:
    listed = [line.split("`")[1] for line in DOCUMENT.text.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")]
    assert tuple(listed) == AUTO_ORDER
