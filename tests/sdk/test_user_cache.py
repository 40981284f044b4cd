"""A cache that cannot be used costs nothing but time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qcface_sdk import user_cache
from qcface_sdk.user_cache import read_cached, user_cache_folder, write_cached


def test_the_variable_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QCFACE_CACHE", str(tmp_path))
    assert user_cache_folder() == tmp_path
    monkeypatch.delenv("QCFACE_CACHE")
    monkeypatch.setattr(user_cache.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache_folder() == tmp_path / "qcface"


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    assert read_cached(path) is None
    assert write_cached(path, b"1")
    assert write_cached(path, b"22")
    assert read_cached(path) == b"22"
    assert read_cached(path, limit=1) is None
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("blocked", ["folder", "rename"])
def test_a_place_that_cannot_be_written_is_said_and_left_clean(
    tmp_path: Path, blocked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a" / "b.json"
    if blocked == "folder":
        (tmp_path / "a").write_bytes(b"")
    else:
        path.mkdir(parents=True)
        (path / "full").write_bytes(b"")
    assert not write_cached(path, b"1")
    if blocked == "rename":
        assert os.listdir(path.parent) == ["b.json"]
    assert read_cached(path) is None
