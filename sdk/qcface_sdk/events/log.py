"""The log of events on disk, which is also the outbox of everything that is delivered.

One SQLite file. `EventLog.emit` returns when the event is on the disk (write-ahead log, synced before the commit
returns), so an event that was emitted outlives kill -9 and a power cut, as far as the disk keeps its promises. Every
destination has a cursor into the log: it gets the events in their order, each at least once, and its own trouble is
no other's.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcface_sdk.checks import check_positive, check_positive_int
from qcface_sdk.errors import EventStorageError
from qcface_sdk.events.event import DoorEvent, EventKind
from qcface_sdk.results import Outcome

_APPLICATION_ID = 0x51434576  # "QCEv"
_SCHEMA = """
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, door TEXT NOT NULL, kind TEXT NOT NULL,
    outcome TEXT, subject TEXT, time REAL NOT NULL, data TEXT NOT NULL
);
CREATE INDEX event_time ON event (time);
CREATE TABLE destination (name TEXT PRIMARY KEY, delivered INTEGER NOT NULL);
"""
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `EventLog.prune` removed."""

    events: int
    """Events removed."""
    undelivered: int
    """Of them, those that some destination had not taken."""


class EventLog:
    """Keeps events on disk until they are too old. An `EventSink`. Thread-safe.

    Parameters
    ----------
    path : str or path
        SQLite file, made if absent, readable by its owner alone.
    retention_days : float
        Age at which `prune` removes an event, delivered or not.
    max_events : int
        Number beyond which `prune` removes the oldest.

    Raises
    ------
    EventStorageError
        If the file cannot be opened, is damaged, or is something else.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, retention_days: float = 30, max_events: int = 1_000_000
    ) -> None:
        self.path = Path(path)
        self.retention_days = check_positive("retention_days", retention_days)
        self.max_events = check_positive_int("max_events", max_events)
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        with self._errors():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._writer = self._connect("FULL")
            # Losing a cursor sends an event twice; losing an event is what must not be. So only events are synced.
            self._reader = self._connect("NORMAL")
            self._read_lock = threading.Lock()
            self._create_if_empty()
            self._last: int = 0
            (self._last,) = self._writer.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()

    def emit(self, event: DoorEvent) -> None:
        """Write one event; it is on the disk when this returns. An id that is there already is left alone.

        Raises
        ------
        EventStorageError
            If it was not written: disk full, read-only, closed. Nothing is half-written; a later call may succeed.
        """
        outcome = event.outcome.value if event.outcome else None
        row = (event.id, event.door, event.kind.value, outcome, event.subject, event.time.timestamp(), _dump(event))
        with self._lock, self._errors(), self._writer:
            done = self._writer.execute(
                "INSERT INTO event (id, door, kind, outcome, subject, time, data) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (id) DO NOTHING",
                row,
            )
            number = done.lastrowid if done.rowcount else None
        if number is not None:
            with self._changed:
                self._last = max(self._last, number)
                self._changed.notify_all()

    def register(self, destination: str) -> None:
        """Make a destination known; a new one gets the events from now on."""
        with self._read_lock, self._errors(), self._reader:
            self._reader.execute(
                "INSERT INTO destination SELECT ?, coalesce((SELECT max(seq) FROM sqlite_sequence), 0) WHERE true "
                "ON CONFLICT (name) DO NOTHING",
                (destination,),
            )

    def pending(self, destination: str, limit: int = 100) -> list[tuple[int, DoorEvent]]:
        """Return the oldest events that a destination has not taken, with their numbers, in order."""
        with self._read_lock, self._errors():
            rows = self._reader.execute(
                "SELECT number, data FROM event WHERE number > (SELECT delivered FROM destination WHERE name = ?) "
                "ORDER BY number LIMIT ?",
                (destination, limit),
            ).fetchall()
        return [(number, self._load(data)) for number, data in rows]

    def acknowledge(self, destination: str, number: int) -> None:
        """Note that a destination has taken all events up to this number."""
        with self._read_lock, self._errors(), self._reader:
            self._reader.execute(
                "UPDATE destination SET delivered = max(delivered, ?) WHERE name = ?", (number, destination)
            )

    def backlog(self, destination: str) -> int:
        """Return how many events a destination has yet to take."""
        with self._read_lock, self._errors():
            (count,) = self._reader.execute(
                "SELECT count(*) FROM event WHERE number > (SELECT delivered FROM destination WHERE name = ?)",
                (destination,),
            ).fetchone()
        return int(count)

    @property
    def newest(self) -> int:
        """Highest number given to an event so far."""
        with self._changed:
            return int(self._last)

    def wait_beyond(self, number: int, seconds: float) -> bool:
        """Wait until an event with a higher number is there, at most so long; return whether it is."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._last > number, seconds))

    def recent(
        self,
        limit: int = 100,
        *,
        door: str | None = None,
        kind: EventKind | None = None,
        outcome: Outcome | None = None,
        subject: str | None = None,
        before: str | None = None,
    ) -> tuple[DoorEvent, ...]:
        """Return the newest events, newest first.

        Parameters
        ----------
        limit : int
            At most so many.
        door, kind, outcome, subject
            Only events with this value.
        before : str, optional
            Id of an event; only older ones, for turning pages.
        """
        wanted: dict[str, Any] = {
            "door = ?": door,
            "kind = ?": kind and kind.value,
            "outcome = ?": outcome and outcome.value,
            "subject = ?": subject,
            "number < (SELECT number FROM event WHERE id = ?)": before,
        }
        given = {clause: value for clause, value in wanted.items() if value is not None}
        where = " AND ".join(given) or "true"
        query = f"SELECT data FROM event WHERE {where} ORDER BY number DESC LIMIT ?"
        with self._read_lock, self._errors():
            rows = self._reader.execute(query, (*given.values(), check_positive_int("limit", limit))).fetchall()
        return tuple(self._load(data) for (data,) in rows)

    def prune(self, now: float | None = None) -> Pruned:
        """Remove the events that are too old or too many, delivered or not.

        Parameters
        ----------
        now : float, optional
            Unix seconds; default: the wall clock.
        """
        oldest = (time.time() if now is None else now) - self.retention_days * _DAY
        gone = "(time < ? OR number <= (SELECT max(number) FROM event) - ?)"
        values = (oldest, self.max_events)
        late = f"SELECT count(*) FROM event WHERE {gone} AND number > (SELECT min(delivered) FROM destination)"
        with self._lock, self._errors(), self._writer:
            (undelivered,) = self._writer.execute(late, values).fetchone()
            removed = self._writer.execute(f"DELETE FROM event WHERE {gone}", values).rowcount
        return Pruned(removed, undelivered)

    def forget_destinations(self, keep: set[str]) -> None:
        """Drop the cursors of destinations that are no longer configured."""
        with self._read_lock, self._errors(), self._reader:
            known = [name for (name,) in self._reader.execute("SELECT name FROM destination")]
            gone = [(name,) for name in known if name not in keep]
            self._reader.executemany("DELETE FROM destination WHERE name = ?", gone)

    def close(self) -> None:
        """Close the file. Harmless when repeated; any other call afterwards raises `EventStorageError`."""
        with self._lock, self._read_lock:
            self._writer.close()
            self._reader.close()

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=5, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _create_if_empty(self) -> None:
        (tables,) = self._writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            self._writer.executescript(f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; COMMIT;")
        (mark,) = self._writer.execute("PRAGMA application_id").fetchone()
        if mark != _APPLICATION_ID:
            raise EventStorageError(f"{self.path} is a database, but no event log; choose another file")

    def _load(self, data: str) -> DoorEvent:
        return DoorEvent.from_dict(json.loads(data))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except EventStorageError:
            raise
        except (sqlite3.Error, OSError) as error:
            raise EventStorageError(
                f"event log {self.path}: {error}; events cannot be kept, so no door opens: free space, mend rights, or "
                "move a damaged file away"
            ) from error


def _dump(event: DoorEvent) -> str:
    return json.dumps(event.to_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
