from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import wait_until
from drawn_events import events
from qcface_sdk.errors import EventStorageError
from qcface_sdk.events import DoorEvent, EventKind, EventSink, new_event_id
from qcface_sdk.events.log import EventLog, Pruned
from qcface_sdk.results import Outcome


def event(door: str = "front", **values: object) -> DoorEvent:
    return DoorEvent.new(EventKind.FAULT, door, "cam", **values)


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.db")


def test_log_is_a_sink(log: EventLog) -> None:
    assert isinstance(log, EventSink)


@settings(max_examples=10)
@given(given=st.lists(events(), min_size=1, max_size=6))
def test_everything_emitted_comes_back_in_order(
    given: list[DoorEvent], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("log") / "events.db"
    log = EventLog(path)
    log.register("a")
    for one in given:
        log.emit(one)
        log.emit(one)  # at least once upstream must be once here
    log.close()
    again = EventLog(path)
    assert [one for _, one in again.pending("a")] == given
    assert again.recent() == tuple(reversed(given))
    again.close()


def test_destinations_have_their_own_cursors(log: EventLog) -> None:
    log.register("a")
    first, second = event(), event()
    log.emit(first)
    log.register("b")
    log.emit(second)
    (number, _), _ = log.pending("a")
    log.acknowledge("a", number)
    assert [one for _, one in log.pending("a")] == [second]
    assert [one for _, one in log.pending("b")] == [second]
    log.acknowledge("a", 0)  # never backwards
    assert log.backlog("a") == 1


def test_new_destination_of_a_pruned_log_gets_only_later_events(log: EventLog) -> None:
    log.emit(event())
    log.prune(now=time.time() + 1e9)
    log.register("late")
    log.emit(later := event())
    assert [one for _, one in log.pending("late")] == [later]


def test_query_turns_pages(log: EventLog) -> None:
    wanted = [DoorEvent.new(EventKind.DECISION, "side", "cam", outcome=Outcome.ACCEPT, subject="ann") for _ in range(5)]
    for one in wanted:
        log.emit(event("front"))
        log.emit(one)
    found = log.recent(3, door="side", kind=EventKind.DECISION, outcome=Outcome.ACCEPT, subject="ann")
    assert found == tuple(reversed(wanted))[:3]
    assert log.recent(9, door="side", before=found[-1].id) == tuple(reversed(wanted))[3:]
    assert log.recent(subject="bob") == ()


def test_pruning_tells_what_was_not_delivered(log: EventLog) -> None:
    log.register("a")
    for _ in range(3):
        log.emit(event())
    log.acknowledge("a", log.pending("a")[0][0])
    assert log.prune() == Pruned(0, 0)
    assert log.prune(now=time.time() + 31 * 86_400) == Pruned(3, 2)
    assert log.recent() == ()


def test_pruning_bounds_the_number(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.db", max_events=2)
    for _ in range(5):
        log.emit(event())
    newest = log.recent(2)
    assert log.prune().events == 3
    assert log.recent() == newest


def test_pruned_text_is_not_left_in_the_file(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.db")
    log.emit(event(message="a name that must be forgotten"))
    log.prune(now=time.time() + 1e9)
    log.close()
    assert b"must be forgotten" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_full_disk_is_an_error_and_later_room_mends_it(log: EventLog) -> None:
    (pages,) = log._writer.execute("PRAGMA page_count").fetchone()
    log._writer.execute(f"PRAGMA max_page_count = {pages + 2}")
    large = event(message="x" * 1000)
    with pytest.raises(EventStorageError, match="full.*no door opens"):
        _fill(log, large)
    kept = len(log.recent(1000))
    log._writer.execute("PRAGMA max_page_count = 100000")
    log.emit(event())
    assert len(log.recent(1000)) == kept + 1


def _fill(log: EventLog, like: DoorEvent) -> None:
    for _ in range(100):
        log.emit(replace(like, id=new_event_id()))


@pytest.mark.parametrize("content", [b"not a database, not at all" * 100, None])
def test_other_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    if content is None:
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE t (x)")
        other.close()
    else:
        path.write_bytes(content)
    with pytest.raises(EventStorageError):
        EventLog(path)


def test_closed_log_refuses(log: EventLog) -> None:
    log.close()
    log.close()
    with pytest.raises(EventStorageError):
        log.emit(event())


def test_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EventStorageError, match="absent"):
        EventLog(tmp_path / "absent" / "events.db")


def test_file_is_for_its_owner_alone(log: EventLog) -> None:
    assert log.path.stat().st_mode & 0o077 == 0


def test_waiting_ends_with_the_event(log: EventLog) -> None:
    assert not log.wait_beyond(0, 0.01)
    threading.Timer(0.05, lambda: log.emit(event())).start()
    assert log.wait_beyond(0, 10)


_WRITER = """
import sys
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.events.log import EventLog
log = EventLog(sys.argv[1])
while True:
    event = DoorEvent.new(EventKind.FAULT, "front", "cam")
    log.emit(event)
    print(event.id, flush=True)
"""


def test_no_acknowledged_event_is_lost_by_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    EventLog(path).close()
    acknowledged: list[str] = []
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        acknowledged += [writer.stdout.readline().strip() for _ in range(20)]
        os.kill(writer.pid, signal.SIGKILL)
        acknowledged += writer.stdout.read().split("\n")[:-1]
        writer.wait()
        writer.stdout.close()
    log = EventLog(path)
    kept = [one.id for one in reversed(log.recent(100_000))]
    assert set(acknowledged) <= set(kept)
    assert kept == sorted(set(kept))
    assert wait_until(lambda: len(acknowledged) >= 60)
