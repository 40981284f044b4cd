"""Tar shards read in any order, packed or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoded_pictures import picture, write_shard
from qcface_train.faces import DataError, RecordError, decode_record
from qcface_train.sources import tar
from qcface_train.sources.tar import TarSource


def shards(folder: Path, ending: str) -> list[Path]:
    return [
        write_shard(
            folder / f"{name}{ending}", [(f"{name}{i}", {"png": picture(10 * n + i), "cls": b"3"}) for i in range(3)]
        )
        for n, name in enumerate("abc")
    ]


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
def test_tar_gives_any_record_at_any_time(tmp_path: Path, ending: str) -> None:
    source = TarSource(shards(tmp_path, ending))
    assert source.groups.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert source.has_compressed == (ending == ".tar.gz")
    for row in (8, 0, 4, 7):
        assert int(decode_record(source, row)[0, 0, 1]) == 10 * (row // 3) + row % 3


def test_tar_finds_the_picture_wherever_its_name_sorts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = [
        ("a", {"cls": b"2", "json": b"{}", "png": picture(1)}),
        ("b", {"JPG": picture(2, ending=".jpg"), "json": b"{}", "txt": b"no face"}),
        ("c", {"cls": b"4", "json": b"{}"}),
    ]
    source = TarSource([write_shard(tmp_path / "x.tar", records)])
    assert source.labels.tolist() == [2, -1]
    assert [int(decode_record(source, row)[0, 0, 1]) for row in range(2)] == [1, 2]
    assert source.skipped == 1
    assert "record c skipped (no picture" in caplog.text


def test_tar_unpacks_a_shard_once_while_it_stays_near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = TarSource(shards(tmp_path, ".tar.gz"), unpacked=2)
    unpacked: list[str] = []
    original = tar._unpack
    monkeypatch.setattr(tar, "_unpack", lambda path: unpacked.append(path.name) or original(path))
    for row in (0, 3, 1, 4, 2, 5, 6, 7, 0):
        source.fetch(row)
    assert unpacked == ["a.tar.gz", "b.tar.gz", "c.tar.gz", "a.tar.gz"]


def test_tar_with_an_empty_shard_warns_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    empty = write_shard(tmp_path / "empty.tar", [])
    source = TarSource([empty, *shards(tmp_path, ".tar")])
    assert len(source.labels) == 9
    assert "empty.tar holds no usable record" in caplog.text


def test_tar_that_shrank_after_opening_names_the_record(tmp_path: Path) -> None:
    path = shards(tmp_path, ".tar")[0]
    source = TarSource([path])
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(RecordError, match=r"a.tar: record a2 is cut off"):
        source.fetch(2)
    with pytest.raises(DataError, match="cannot be read"):
        TarSource([tmp_path / "absent.tar"])
