"""What a gallery file looks like inside, and how one is told from any other file.

A template's row is enough to rebuild the search; what later versions keep per subject (a wrapped key, consent,
retention) belongs into the table `subject`.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import struct
import time

from qcface_sdk.errors import GalleryFormatError, GalleryStorageError

APPLICATION_ID = 0x51434647
"""``QCFG`` in the file's header (https://www.sqlite.org/fileformat.html, 1.3): this is a gallery and nothing else."""

SCHEMA_VERSION = 1
"""Kept in the header's ``user_version``; the only version this SDK reads."""

PAGE_BYTES = 8192
"""Three templates of 512 numbers to a page; SQLite's default of 4096 holds one and wastes the rest."""

# AUTOINCREMENT: an id is never used again, so "rows after the last one seen" is all that was added.
_STATEMENTS = (
    """CREATE TABLE head (
    head_id INTEGER PRIMARY KEY CHECK (head_id = 1),
    contract TEXT,
    dimension INTEGER,
    created REAL NOT NULL,
    removals INTEGER NOT NULL
)""",
    """CREATE TABLE subject (
    subject_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created REAL NOT NULL
)""",
    """CREATE TABLE template (
    template_id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject_id INTEGER NOT NULL REFERENCES subject,
    data BLOB NOT NULL
)""",
    "CREATE INDEX template_by_subject ON template (subject_id)",
)
_HEADER_BYTES = 100
_SQLITE_MAGIC = b"SQLite format 3\0"
# user_version, text encoding's neighbours skipped, application_id: offsets 60 and 68, big endian
_HEADER_IDS = struct.Struct(">60xI4xI")


def check_header(path: str, *, may_be_empty: bool) -> None:
    """Raise unless a file's first bytes are a gallery's, without SQLite and so without changing anything.

    Raises
    ------
    GalleryFormatError
        If the file is something else, or was written by another schema version.
    GalleryStorageError
        If it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise GalleryFormatError(f"{path} is not a file; name a file for the gallery")
        with open(path, "rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError as error:
        raise GalleryStorageError(
            f"cannot read gallery {path}: {error.strerror or error}; check its permissions"
        ) from error
    if not header:
        if not may_be_empty:
            raise GalleryFormatError(f"{path} is empty and not a gallery yet; open it once without read_only")
        return
    if len(header) < _HEADER_BYTES or not header.startswith(_SQLITE_MAGIC):
        raise GalleryFormatError(f"{path} is not a gallery; it was left as it is. Choose another file name")
    version, application = _HEADER_IDS.unpack_from(header)
    _check_ids(path, application, version)


def create_if_empty(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database, inside the caller's transaction; leave any other as it is."""
    if _ids(connection) != (0, 0) or _definitions(connection):
        return
    for statement in _STATEMENTS:
        connection.execute(statement)
    connection.execute("INSERT INTO head VALUES (1, NULL, NULL, ?, 0)", (time.time(),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """Raise `GalleryFormatError` unless the open database has exactly the tables of this schema version."""
    application, version = _ids(connection)
    _check_ids(path, application, version)
    if _definitions(connection) != set(_STATEMENTS):
        raise GalleryFormatError(f"{path} has been altered: its tables are not a gallery's; restore it from a backup")


def check_integrity(connection: sqlite3.Connection, path: str) -> None:
    """Raise `GalleryFormatError` if a page, a row or an index of the database is not as SQLite left it."""
    found = [line for (line,) in connection.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise GalleryFormatError(f"gallery {path} is damaged ({found[0]}); keep a copy, then restore it from a backup")


def _check_ids(path: str, application: int, version: int) -> None:
    if application != APPLICATION_ID:
        raise GalleryFormatError(
            f"{path} is a database of another program; it was left as it is. Choose another file name for the gallery"
        )
    if version != SCHEMA_VERSION:
        raise GalleryFormatError(
            f"{path} has gallery schema {version}, this SDK reads schema {SCHEMA_VERSION}; use the SDK that wrote it"
        )


def _ids(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _definitions(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {sql for (sql,) in rows}
