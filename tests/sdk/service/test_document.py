"""sdk/docs/service.md says what the code does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from config_tables import TABLES, table
from documents import REPOSITORY, Document, check_script, run_commands, run_python
from qcface_sdk.events import EventKind, json_schema
from qcface_sdk.service.metrics import METRICS

DOCUMENT = Document.of("sdk/docs/service.md")


@pytest.mark.parametrize("name", TABLES)
def test_reference_of_a_table_is_complete_and_true(name: str) -> None:
    _, found, rest = DOCUMENT.text.partition(f"\n### `{name}`\n")
    assert found, name
    section = rest.partition("\n#")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == table(TABLES[name])


def test_every_metric_and_event_is_listed() -> None:
    for name, meaning in METRICS.items():
        assert f"| `{name}` | {meaning} |" in DOCUMENT.text
    events = DOCUMENT.text.partition("## Events")[2].partition("### Files")[0]
    assert all(f"`{name}`" in events for name in json_schema()["properties"])
    assert all(f"`{kind.value}`" in events for kind in EventKind)


@pytest.mark.parametrize("number", range(len(DOCUMENT.code("python"))))
def test_python_block_runs(number: int, tmp_path: Path) -> None:
    run_python(DOCUMENT.code("python")[number], tmp_path)


def test_commands_are_right(tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    for name in ("door.toml", "corridor.mp4"):
        shutil.copy(REPOSITORY / "examples" / name, tmp_path / "examples")
    # Without --check it is run in tests/test_examples.py.
    run_commands([line for line in DOCUMENT.commands if "--check" in line], tmp_path, allowed=(0,))
    assert all(line.removesuffix(" --check") in DOCUMENT.commands for line in DOCUMENT.commands)
    for line in DOCUMENT.scripts:
        check_script(line)


def test_files_that_are_named_exist() -> None:
    for name in ("qcface.service", "Containerfile", "Containerfile.jetson", "door.toml", "mosquitto.acl"):
        assert f"`{name}`" in DOCUMENT.text
        assert (REPOSITORY / "examples" / "deploy" / name).is_file()
    assert "make soak-service" in DOCUMENT.text
    assert "\nsoak-service:" in (REPOSITORY / "Makefile").read_text()
