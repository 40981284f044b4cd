"""What a gallery file looks like inside, and how one is told from any other file.

Schema 2. Templates, codes and crops are sealed; ids, times, consent and the audit log are in plain form. The keys are
in another file, see `keyring`.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import stat
import struct
import time
from collections.abc import Callable

from qcface_sdk.errors import GalleryFormatError, GalleryStorageError

APPLICATION_ID = 0x51434647
"""``QCFG`` in the file's header (https://www.sqlite.org/fileformat.html, 1.3): this is a gallery and nothing else."""

SCHEMA_VERSION = 2
"""Kept in the header's ``user_version``; the only version this SDK searches."""

PLAIN_SCHEMA = 1
"""The version before encryption; `migrate` reads it, nothing else does."""

PAGE_BYTES = 8192
"""Three templates of 512 numbers to a page; SQLite's default of 4096 holds one and wastes the rest."""

# AUTOINCREMENT: an id is never used again, so "rows after the last one seen" is all that was added. The int8 codes that
# a search scans have a table of their own, so that a start reads a quarter of the file.
_STATEMENTS = (
    """CREATE TABLE head (
    head_id INTEGER PRIMARY KEY CHECK (head_id = 1),
    gallery_id BLOB NOT NULL,
    contract TEXT,
    dimension INTEGER,
    created REAL NOT NULL,
    clock REAL NOT NULL,
    removals INTEGER NOT NULL
)""",
    """CREATE TABLE subject (
    subject_id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    slot INTEGER NOT NULL UNIQUE,
    key_id BLOB NOT NULL,
    created REAL NOT NULL,
    consent TEXT,
    consented REAL,
    expires REAL,
    origin TEXT NOT NULL
)""",
    """CREATE TABLE template (
    template_id INTEGER PRIMARY KEY AUTOINCREMENT,
    subject_id INTEGER NOT NULL REFERENCES subject,
    uid TEXT NOT NULL UNIQUE,
    quality REAL,
    data BLOB NOT NULL
)""",
    """CREATE TABLE code (
    template_id INTEGER PRIMARY KEY REFERENCES template,
    subject_id INTEGER NOT NULL REFERENCES subject,
    data BLOB NOT NULL
)""",
    """CREATE TABLE crop (
    crop_id INTEGER PRIMARY KEY AUTOINCREMENT,
    template_id INTEGER NOT NULL REFERENCES template,
    data BLOB NOT NULL
)""",
    """CREATE TABLE gone (
    removal INTEGER NOT NULL,
    template_id INTEGER NOT NULL
)""",
    """CREATE TABLE spare_slot (
    slot INTEGER PRIMARY KEY,
    shredded INTEGER NOT NULL
)""",
    """CREATE TABLE audit (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    action TEXT NOT NULL,
    subject TEXT,
    detail TEXT NOT NULL
)""",
    "CREATE INDEX template_by_subject ON template (subject_id)",
    "CREATE INDEX crop_by_template ON crop (template_id)",
    "CREATE INDEX subject_by_expiry ON subject (expires)",
    "CREATE INDEX gone_by_removal ON gone (removal)",
    "CREATE INDEX audit_by_subject ON audit (subject)",
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
    application, version = ids_of_file(path)
    if (application, version) == (0, 0) and os.path.getsize(path) == 0:
        if not may_be_empty:
            raise GalleryFormatError(f"{path} is empty and not a gallery yet; open it once without read_only")
        return
    _check_ids(path, application, version)


def ids_of_file(path: str) -> tuple[int, int]:
    """Return application id and schema version from a database file's first bytes; zeros of an empty file.

    Raises
    ------
    GalleryFormatError
        If it is no database file.
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
        return 0, 0
    if len(header) < _HEADER_BYTES or not header.startswith(_SQLITE_MAGIC):
        raise GalleryFormatError(f"{path} is not a gallery; it was left as it is. Choose another file name")
    version, application = _HEADER_IDS.unpack_from(header)
    return application, version


def create_if_empty(connection: sqlite3.Connection, before_commit: Callable[[bytes], None]) -> None:
    """Make the tables in an empty database, inside the caller's transaction; leave any other as it is.

    `before_commit` gets the new gallery's id and makes what must be on disk before the gallery is.
    """
    if _ids(connection) != (0, 0) or _definitions(connection):
        return
    for statement in _STATEMENTS:
        connection.execute(statement)
    gallery_id, now = secrets.token_bytes(16), time.time()
    connection.execute("INSERT INTO head VALUES (1, ?, NULL, NULL, ?, ?, 0)", (gallery_id, now, now))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    before_commit(gallery_id)


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """Raise `GalleryFormatError` unless the open database has exactly the tables of this schema version."""
    application, version = _ids(connection)
    _check_ids(path, application, version)
    if _definitions(connection) != set(_STATEMENTS):
        raise GalleryFormatError(f"{path} has been altered: its tables are not a gallery's; restore it from a backup")


def check_version(connection: sqlite3.Connection, path: str) -> None:
    """Raise `GalleryFormatError` if an open gallery is of another version by now: a newer SDK may have changed it."""
    _check_ids(path, *_ids(connection))


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
    if version == PLAIN_SCHEMA:
        raise GalleryFormatError(
            f"{path} is a gallery of schema {PLAIN_SCHEMA}, which was not encrypted; encrypt it once with: "
            f"qcface gallery migrate {path}"
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
