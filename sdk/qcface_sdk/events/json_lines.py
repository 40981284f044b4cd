"""Events as lines of JSON in a file that is rotated."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qcface_sdk.checks import check_choice, check_positive, check_positive_int
from qcface_sdk.errors import EventStorageError
from qcface_sdk.events.event import DoorEvent

FSYNC = ("always", "never")
_DAY = 86_400.0
_TAIL_BYTES = 1 << 20
_FIRST = b'{"id": "'


class JsonLines:
    """Appends each event as one line. An `EventSink`. Thread-safe; one process per file.

    A line that a crash cut off is removed at the next opening: its `emit` never returned. Rotated files are named
    ``NAME.000001``, ``NAME.000002``, ... A new file is begun at `max_bytes`, and daily, so that `prune`, called now and
    then, keeps events for `retention_days` and at most a day more.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    fsync : str
        ``"always"``: `emit` returns when the line is on the disk. ``"never"``: when the operating system has it, which
        outlives a crash of this process but not of the machine.
    max_bytes : int
        Size at which a new file is begun.
    retention_days : float
        Age at which rotated files are removed.

    Raises
    ------
    EventStorageError
        If the file cannot be opened or written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fsync: str = "always",
        max_bytes: int = 10_000_000,
        retention_days: float = 30,
    ) -> None:
        self.path = Path(path)
        self._sync = check_choice("fsync", fsync, FSYNC) == "always"
        self._max_bytes = check_positive_int("max_bytes", max_bytes)
        self._keep_seconds = check_positive("retention_days", retention_days) * _DAY
        self._lock = threading.Lock()
        self._file = -1
        self._last_id: str | None = None
        with self._lock, self._errors():
            self._open()

    def emit(self, event: DoorEvent) -> None:
        """Append one event; it is as safe as `fsync` says when this returns. The last event again is left alone."""
        line = json.dumps(event.to_dict(), ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self._lock, self._errors():
            if event.id != self._last_id:
                self._append(line)
                self._last_id = event.id

    def prune(self, now: float | None = None) -> int:
        """Remove rotated files whose last event is too old; return how many."""
        now = time.time() if now is None else now
        with self._lock, self._errors():
            if self._file >= 0 and self._size and now - self._begun > _DAY:
                self._rotate()
        old = [file for file in self._rotated() if now - file.stat().st_mtime > self._keep_seconds]
        for file in old:
            file.unlink(missing_ok=True)
        return len(old)

    def close(self) -> None:
        """Close the file. Harmless when repeated."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _open(self) -> None:
        self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size
        tail = os.pread(self._file, _TAIL_BYTES, max(0, self._size - _TAIL_BYTES))
        whole, newline, torn = tail.rpartition(b"\n")
        last = whole.rpartition(b"\n")[2] or torn[: len(_FIRST)]
        if last and not last.startswith(_FIRST[: len(last)]):
            raise EventStorageError(f"{self.path} is a file of something else than events; choose another file")
        if torn:
            self._size -= len(torn)
            os.ftruncate(self._file, self._size)
        self._begun = time.time()
        if newline and last:
            self._last_id = json.loads(last)["id"]
            first = os.pread(self._file, 65_536, 0).partition(b"\n")[0]
            self._begun = DoorEvent.from_dict(json.loads(first)).time.timestamp()

    def _append(self, line: bytes) -> None:
        if self._file < 0:
            raise EventStorageError(f"event file {self.path} is closed")
        full = self._size + len(line) > self._max_bytes
        if self._size and (full or time.time() - self._begun > _DAY):
            self._rotate()
        if not self._size:
            self._begun = time.time()
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            if self._sync:
                os.fsync(self._file)
        except OSError:
            # Half a line would spoil the next one.
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    def _rotate(self) -> None:
        numbers = [int(file.suffix[1:]) for file in self._rotated()]
        os.rename(self.path, f"{self.path}.{max(numbers, default=0) + 1:06d}")
        os.close(self._file)
        self._file = -1
        self._open()
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _rotated(self) -> list[Path]:
        return [file for file in self.path.parent.glob(f"{self.path.name}.*") if file.suffix[1:].isdigit()]

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except EventStorageError:
            raise
        except (OSError, ValueError) as error:
            raise EventStorageError(f"event file {self.path}: {error}; free space, or mend its rights") from error
