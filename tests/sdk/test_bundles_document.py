"""What sdk/docs/bundles.md shows works as shown."""

from __future__ import annotations

from pathlib import Path

from documents import Document, run_commands, run_python
from qcface_sdk.bundle import Bundle
from qcface_sdk.selection import AUTO_ORDER
from qcface_sdk.service import load_config
from tiny_models import tiny_bundle

DOCUMENT = Document.of("sdk/docs/bundles.md")


def test_commands_run_as_written(tmp_path: Path) -> None:
    assert DOCUMENT.others == []
    run_commands(DOCUMENT.commands, tmp_path, allowed=(0,))


def test_python_runs_as_written(tmp_path: Path) -> None:
    Bundle.pack(tiny_bundle(tmp_path / "tiny"), tmp_path / "my.qcface")
    for code in DOCUMENT.code("python"):
        run_python(code, tmp_path)


def test_configuration_reads_as_written(tmp_path: Path) -> None:
    (engine,) = DOCUMENT.code("toml")
    door = '[gallery.people]\npath = "people.db"\n[[door]]\nname = "front"\nsource = "film.avi"\n'
    (tmp_path / "door.toml").write_text(engine + door)
    config = load_config(tmp_path / "door.toml").engine
    assert config.trusted_keys == (str(tmp_path / "maker.pub.pem"),)
    # The command above it in the document makes the file that it names.
    assert config.model is not None
    assert f"--output {config.model.name}" in DOCUMENT.text


def test_the_order_of_auto_is_the_documented_one() -> None:
    listed = [line.split("`")[1] for line in DOCUMENT.text.splitlines() if line[:2] in ("1.", "2.", "3.", "4.")]
    assert tuple(listed) == AUTO_ORDER
