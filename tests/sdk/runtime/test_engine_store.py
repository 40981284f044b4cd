"""Engines on disk: whole or not at all."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import pytest

from engine_files import ENGINE, engine_info
from qcface_sdk.errors import ModelError, ModelFormatError, ModelHashError, ModelNotFoundError
from qcface_sdk.runtime import engine_store
from qcface_sdk.runtime.engine_store import EngineKey, EngineStore, read_engine, write_engine

KEY = EngineKey("a" * 64, "10.3.0", "8.7", "int8", "batch 1:1:16", ())


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


def test_what_was_saved_is_loaded(store: EngineStore) -> None:
    assert not store.holds(KEY)
    store.save(KEY, ENGINE, engine_info())
    assert store.holds(KEY)
    assert store.load(KEY) == (ENGINE, engine_info())


@pytest.mark.parametrize(
    "change",
    [
        {"model_sha256": "b" * 64},
        {"tensorrt": "10.4.0"},
        {"sm": "8.6"},
        {"precision": "fp16"},
        {"shapes": "batch 1:1:8"},
        {"options": ("level=5",)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_of_the_key_counts(store: EngineStore, change: dict[str, object]) -> None:
    store.save(KEY, ENGINE, engine_info())
    other = dataclasses.replace(KEY, **change)
    assert not store.holds(other)
    with pytest.raises(ModelNotFoundError, match=r"build the engine with export/build_trt.py"):
        store.load(other)


def test_an_interrupted_write_leaves_nothing_that_loads(store: EngineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the files are written: before the rename there is no entry, whatever was written."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine_store.os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save(KEY, ENGINE, engine_info())
    assert not store.holds(KEY)
    monkeypatch.undo()
    store.save(KEY, ENGINE, engine_info())
    assert store.load(KEY)[0] == ENGINE


@pytest.mark.parametrize("size", [0, 1, len(ENGINE) - 1])
def test_a_truncated_engine_is_named(store: EngineStore, size: int) -> None:
    place = store.save(KEY, ENGINE, engine_info())
    os.truncate(place / "engine.plan", size)
    with pytest.raises(ModelHashError, match=r"engine.plan is truncated, want 1,200 bytes"):
        store.load(KEY)


def test_an_altered_engine_or_sidecar_is_named(store: EngineStore) -> None:
    place = store.save(KEY, ENGINE, engine_info())
    (place / "engine.plan").write_bytes(b"X" + ENGINE[1:])
    with pytest.raises(ModelHashError, match="was altered"):
        store.load(KEY)
    (place / "engine.json").write_bytes(b"{")
    with pytest.raises(ModelFormatError, match="no engine sidecar"):
        store.load(KEY)


def test_an_engine_replaces_an_older_one_but_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    write_engine(folder, ENGINE, engine_info())
    write_engine(folder, ENGINE, engine_info(precision="fp16"))
    assert read_engine(folder)[1].precision == "fp16"
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="holds no engine; choose another place"):
        write_engine(tmp_path / "papers", ENGINE, engine_info())
    assert (tmp_path / "papers" / "thesis.txt").exists()


def test_a_sidecar_of_other_bytes_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelHashError):
        write_engine(tmp_path / "engine", ENGINE + b"x", engine_info())
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ModelError, match="cannot write"):
        write_engine(tmp_path / "file" / "engine", ENGINE, engine_info())


def test_writers_at_once_leave_one_whole_engine(store: EngineStore) -> None:
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                store.save(KEY, ENGINE, engine_info())
        except ModelError:
            pass  # another writer was quicker: nothing is lost
        except BaseException as error:
            faults.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert store.load(KEY) == (ENGINE, engine_info())
