from __future__ import annotations

import errno
import json
import os
import time
from pathlib import Path

import pytest

from qcface_sdk.errors import EventStorageError, OptionError
from qcface_sdk.events import DoorEvent, EventKind, EventSink
from qcface_sdk.events.json_lines import JsonLines


def event(**values: object) -> DoorEvent:
    return DoorEvent.new(EventKind.FAULT, "front", "cam", **values)


def read(path: Path) -> list[DoorEvent]:
    return [DoorEvent.from_dict(json.loads(line)) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("fsync", ["always", "never"])
def test_each_event_is_a_line(tmp_path: Path, fsync: str) -> None:
    sink = JsonLines(tmp_path / "events.jsonl", fsync=fsync)
    assert isinstance(sink, EventSink)
    written = [event(message="Tür\nzu"), event()]
    for one in written:
        sink.emit(one)
    assert read(sink.path) == written
    assert sink.path.stat().st_mode & 0o077 == 0


def test_event_that_is_delivered_again_after_a_crash_stands_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    first, second = event(), event()
    JsonLines(path).emit(first)
    again = JsonLines(path)
    again.emit(first)
    again.emit(second)
    again.emit(second)
    assert read(path) == [first, second]


@pytest.mark.parametrize("cut", [1, 3, 60, -1])
def test_line_cut_off_by_a_crash_is_removed(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "events.jsonl"
    whole = event()
    JsonLines(path).emit(whole)
    torn = json.dumps(event().to_dict()).encode()[:cut]
    path.write_bytes(path.read_bytes() + torn)
    sink = JsonLines(path)
    assert read(path) == [whole]
    sink.emit(later := event())
    assert read(path) == [whole, later]


@pytest.mark.parametrize("content", [b"shopping list", b"a\nb\n", b"x" * (3 << 20)])
def test_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(EventStorageError, match="something else"):
        JsonLines(path)
    assert path.read_bytes() == content


def test_rotation_loses_nothing_and_old_files_go(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "events.jsonl", max_bytes=2000, retention_days=1)
    written = [event() for _ in range(20)]
    for one in written:
        sink.emit(one)
    rotated = sorted(tmp_path.glob("events.jsonl.*"))
    assert len(rotated) >= 3
    assert [one for file in [*rotated, sink.path] for one in read(file)] == written
    os.utime(rotated[0], (0, 0))
    assert sink.prune() == 1
    assert not rotated[0].exists()
    assert rotated[1].exists()


def test_file_is_begun_anew_every_day_so_that_retention_holds_for_quiet_doors(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "events.jsonl", retention_days=2)
    sink.emit(event())
    sink.close()
    again = JsonLines(tmp_path / "events.jsonl", retention_days=2)
    now = time.time()
    assert again.prune(now + 0.9 * 86_400) == 0
    assert len(read(again.path)) == 1
    assert again.prune(now + 1.5 * 86_400) == 0
    assert read(again.path) == []
    assert len(list(tmp_path.glob("events.jsonl.*"))) == 1
    assert again.prune(now + 3 * 86_400) == 1
    assert not list(tmp_path.glob("events.jsonl.*"))


def test_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = JsonLines(tmp_path / "events.jsonl")
    sink.emit(first := event())
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 200:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data[:-150])

    monkeypatch.setattr("qcface_sdk.events.json_lines.os.write", full)
    with pytest.raises(EventStorageError, match="No space left"):
        sink.emit(event())
    monkeypatch.undo()
    sink.emit(second := event())
    assert read(sink.path) == [first, second]


def test_device_that_is_really_full(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    link = tmp_path / "events.jsonl"
    link.symlink_to("/dev/full")
    with pytest.raises(EventStorageError):
        JsonLines(link).emit(event())


def test_closed_file_refuses_and_options_are_checked(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "events.jsonl")
    sink.close()
    sink.close()
    with pytest.raises(EventStorageError, match="closed"):
        sink.emit(event())
    with pytest.raises(OptionError, match="fsync"):
        JsonLines(tmp_path / "events.jsonl", fsync="sometimes")
