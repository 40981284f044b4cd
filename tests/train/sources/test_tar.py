"""Tar shards read in any order, packed or not."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
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


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("damage", ["at a header", "in a header", "in the last header", "header overwritten"])
def test_tar_that_ends_too_early_is_refused(tmp_path: Path, ending: str, damage: str) -> None:
    whole = shards(tmp_path, ".tar")[0].read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        starts = [member.offset for member in archive]
    broken = {
        "at a header": whole[: starts[2]],
        "in a header": whole[: starts[2] + 100],
        "in the last header": whole[: starts[-1] + 511],
        "header overwritten": whole[: starts[2]] + b"x" * 512 + whole[starts[2] + 512 :],
    }[damage]
    path = tmp_path / f"broken{ending}"
    path.write_bytes(gzip.compress(broken) if ending == ".tar.gz" else broken)
    with pytest.raises(DataError, match=r"broken\.tar.*not a whole tar file"):
        TarSource([path])


@pytest.mark.parametrize("ending", [".tar", ".tar.gz"])
@pytest.mark.parametrize("zeros", [512, 1024, 2048, 1 << 20])
def test_tar_of_any_writer_is_read_to_its_end(tmp_path: Path, ending: str, zeros: int) -> None:
    # 1024: the standard; up to 10240 or as wide as was asked for: GNU tar, Python, webdataset
    whole = shards(tmp_path, ".tar")[0].read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        *_, last = archive
    content = whole[: last.offset_data + 512] + b"\0" * zeros
    path = tmp_path / f"other{ending}"
    path.write_bytes(gzip.compress(content) if ending == ".tar.gz" else content)
    source = TarSource([path])
    assert len(source.labels) == 3
    assert int(decode_record(source, 2)[0, 0, 1]) == 2


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar program")
@pytest.mark.parametrize("options", [["--format=gnu"], ["--format=pax"], ["--format=ustar", "-b1"], ["-b400"], ["-z"]])
def test_tar_of_the_tar_program_is_read_to_its_end(tmp_path: Path, options: list[str]) -> None:
    names = [f"{'long' * 30}{i}.png" for i in range(2)] if "ustar" not in options[0] else ["0.png", "1.png"]
    for number, name in enumerate(names):
        (tmp_path / name).write_bytes(picture(number))
    subprocess.run(["tar", "-c", *options, "-f", "x.tar", *names], cwd=tmp_path, check=True)
    source = TarSource([tmp_path / "x.tar"])
    assert [int(decode_record(source, row)[0, 0, 1]) for row in range(len(source.labels))] == [0, 1]


def test_tar_that_shrank_after_opening_names_the_record(tmp_path: Path) -> None:
    path = shards(tmp_path, ".tar")[0]
    source = TarSource([path])
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(RecordError, match=r"a.tar: record a2 is cut off"):
        source.fetch(2)
    with pytest.raises(DataError, match="cannot be read"):
        TarSource([tmp_path / "absent.tar"])
