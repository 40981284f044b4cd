"""One open gallery file: a connection for reading, one for writing, and their locks.

Two connections, so that a search never waits for a write, neither of this process nor (in SQLite's write-ahead mode)
of another.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qcface_sdk.errors import GalleryError, GalleryStorageError
from qcface_sdk.gallery.master import sync_folder
from qcface_sdk.gallery.schema import PAGE_BYTES, check_header, check_schema, check_version, create_if_empty
from qcface_sdk.gallery.storage_errors import storage_errors

_Identity = tuple[int, int]

_COPIED_PAGES = 2**20 // PAGE_BYTES
"""Pages that a backup copies in one step: a MiB."""

# POSIX drops all of a process's locks on a file when the process closes *any* handle to it
# (https://www.sqlite.org/howtocorrupt.html, 2.2). So the header of a file that this process has open already is not
# read again; the first opening read it.
_opened: Counter[_Identity] = Counter()
_opening = threading.Lock()


class Database:
    """The connections to one gallery file. Thread-safe: each connection serves one thread at a time.

    A committed write is on disk as far as the disk keeps its promises: write-ahead log with ``synchronous=FULL``,
    which syncs the log before a commit returns. Deleted content is overwritten (``secure_delete``).
    """

    def __init__(self, path: str, *, read_only: bool, timeout: float, before_creation: Callable[[bytes], None]) -> None:
        self.path = path
        self.read_only = read_only
        self._before_creation = before_creation
        self._process = os.getpid()
        self._timeout = timeout
        self._read_lock = threading.RLock()
        self._write_lock = threading.RLock()
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._made = False
        with _opening:
            if not read_only:
                _create_file(self.path)
            self._identity = _identity(self.path)
            if not _opened[self._identity]:
                check_header(self.path, may_be_empty=not read_only)
            _opened[self._identity] += 1
        self._immutable = read_only and _cannot_be_locked(self.path)
        self._state = self._file_state()
        try:
            with storage_errors(self.path):
                self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        if not self.read_only:
            self._writer = self._connection("mode=rw")
            self._writer.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            self._writer.execute("PRAGMA secure_delete = ON")
            # Also finds out now, not at the first enrolment, that the file or its folder is read-only.
            with self.writing() as writer:
                create_if_empty(writer, self._before_creation)
                check_schema(writer, self.path)
            self._made = True
            self._use_log(self._writer)
            self._writer.execute("PRAGMA synchronous = FULL")
        self._reader = self._connection("mode=ro&immutable=1" if self._immutable else "mode=ro")
        with self.reading() as reader:
            check_schema(reader, self.path)

    def _use_log(self, writer: sqlite3.Connection) -> None:
        """Switch a new file to the write-ahead log; for any other this changes nothing."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
                break
            except sqlite3.OperationalError as error:
                # Several openers of a new file can bar each other's way, and SQLite does not wait for this lock.
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        if mode != "wal":
            raise GalleryStorageError(
                f"gallery {self.path} needs SQLite's write-ahead log, its file system gives {mode!r}; "
                "move it to a local disk"
            )

    def _connection(self, query: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{Path(self.path).as_uri()}?{query}",
            uri=True,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection

    def version(self) -> int:
        """Return a number that is another one after any commit by anybody, in this process or not."""
        with self._read_lock, storage_errors(self.path):
            reader = self._check(self._reader)
            return int(reader.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Run the block on one unchanging state of the gallery."""
        with self._read_lock, storage_errors(self.path):
            reader = self._check(self._reader)
            reader.execute("BEGIN")
            try:
                check_version(reader, self.path)
                yield reader
            finally:
                if reader.in_transaction:
                    reader.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run the block alone among all writers; all of it is on disk afterwards, or none of it after an error."""
        with self._write_lock, storage_errors(self.path):
            if self.read_only:
                raise GalleryStorageError(f"gallery {self.path} was opened with read_only=True; open it without")
            writer = self._check(self._writer)
            writer.execute("BEGIN IMMEDIATE")
            try:
                if self._made:
                    check_version(writer, self.path)
                yield writer
                writer.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself; what is left of it otherwise must not stay open.
                if writer.in_transaction:
                    writer.execute("ROLLBACK")
                raise

    def copy_to(self, path: str, progress: Callable[[int], None] | None = None) -> int:
        """Write a copy of the gallery as it is now, while everybody goes on; return how many people it holds.

        Parameters
        ----------
        path : str
            A new file; the caller syncs it.
        progress : callable or None
            Called with 1 for each MiB copied.
        """
        with self._read_lock:
            self._check(self._reader)
        done = 0

        def count(_: int, remaining: int, total: int) -> None:
            nonlocal done
            copied = (total - remaining) // _COPIED_PAGES
            if progress is not None and copied > done:
                progress(copied - done)
            done = copied

        with storage_errors(self.path):
            # Connections of its own: a copy of gigabytes must not make a search wait.
            source = self._connection("mode=ro&immutable=1" if self._immutable else "mode=ro")
            target = sqlite3.connect(path, isolation_level=None)
            try:
                # One state for all steps: without it SQLite would start again whenever somebody writes.
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM head")
                source.backup(target, pages=_COPIED_PAGES, progress=count)
                target.execute("PRAGMA journal_mode = DELETE")
                return int(target.execute("SELECT count(*) FROM subject").fetchone()[0])
            except sqlite3.OperationalError as error:
                raise GalleryStorageError(
                    f"cannot copy gallery {self.path} to {path}: {error}; free some space there or choose another disk"
                ) from error
            finally:
                target.close()
                source.close()

    def sweep(self) -> bool:
        """Empty the write-ahead log, which may hold what was just deleted; return whether no reader was in the way."""
        with self._write_lock, storage_errors(self.path):
            try:
                (blocked, *_) = self._check(self._writer).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError:
                return False
            return not blocked

    def close(self) -> None:
        """Close both connections. Harmless when repeated."""
        with self._write_lock, self._read_lock:
            reader, self._reader = self._reader, None
            writer, self._writer = self._writer, None
            for connection in (reader, writer):
                if connection is not None:
                    # Nothing is lost if the log cannot be folded in now: the next opening does that.
                    with suppress(sqlite3.Error):
                        connection.close()
            with _opening:
                if self._identity in _opened:
                    _opened[self._identity] -= 1
            self._identity = (-1, -1)

    def _check(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:
            raise GalleryError(f"gallery {self.path} is closed; open it again with Gallery.open")
        if os.getpid() != self._process:
            raise GalleryError(
                f"gallery {self.path} was opened before this process was forked, and SQLite cannot be shared that way; "
                "open it again in the child"
            )
        if self._file_state() != self._state:
            raise GalleryStorageError(
                f"gallery {self.path} was removed or replaced while open; open it again with Gallery.open"
            )
        return connection

    def _file_state(self) -> tuple[object, ...]:
        """What must stay as it is while the gallery is open."""
        try:
            status = os.stat(self.path)
            identity = (status.st_dev, status.st_ino)
            if not self._immutable:
                return identity
            # SQLite does not watch an immutable file for changes, so this does.
            return (*identity, status.st_size, status.st_mtime_ns, _log_bytes(self.path))
        except OSError:
            return ()


def real_path(path: str | os.PathLike[str]) -> str:
    """Return the absolute path behind links: one gallery has one name, and its keys lie beside the file itself."""
    try:
        return os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError) as error:
        raise GalleryStorageError(f"gallery path must be the name of a file, got {path!r}") from error


def _identity(path: str) -> _Identity:
    try:
        status = os.stat(path)
    except OSError as error:
        raise GalleryStorageError(
            f"cannot open gallery {path}: {error.strerror or error}; check the path, or open it without read_only first"
        ) from error
    return status.st_dev, status.st_ino


def _create_file(path: str) -> None:
    """Make an empty file for the owner alone, unless there is one; SQLite gives its log the same permissions."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_folder(path)
    except FileExistsError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GalleryStorageError(
            f"cannot create gallery {path}: {reason}; its folder must exist and be writable"
        ) from error


def _cannot_be_locked(path: str) -> bool:
    """Whether the folder cannot take a log, as on a read-only medium, and none is there that would have to be read."""
    return not os.access(os.path.dirname(path), os.W_OK) and not _log_bytes(path)


def _log_bytes(path: str) -> int:
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:
        return 0
