"""Say SQLite's and the system's refusals in the gallery's own errors, with what to do about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from qcface_sdk.errors import GalleryError, GalleryFormatError, GalleryStorageError

# Fragments of SQLite's result strings (https://www.sqlite.org/rescode.html); Python 3.10 gives no codes.
_ADVICE = (
    ("locked", "another program held it too long; close that program, or open the gallery with a longer timeout"),
    ("busy", "another program held it too long; close that program, or open the gallery with a longer timeout"),
    ("readonly", "the file or its folder is read-only; change that, or open the gallery with read_only=True"),
    ("full", "the disk is full; free some space and try again"),
    ("unable to open", "its folder must exist and be writable, as SQLite keeps a log beside the file"),
    ("disk I/O", "the disk refused: full, over quota, a file-size limit, or failing; see the system's log"),
)


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Turn errors of SQLite inside the block into `GalleryStorageError` or `GalleryFormatError` that name `path`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise storage_error(path, str(error)) from error
    except sqlite3.DatabaseError as error:
        raise GalleryFormatError(
            f"gallery {path} is damaged ({error}); keep a copy, then restore it from a backup"
        ) from error


def storage_error(path: str, said: str) -> GalleryError:
    """Return the error for one refusal of the storage; what was enrolled before is still there in every case."""
    advice = next((words for fragment, words in _ADVICE if fragment in said), "see the system's log")
    return GalleryStorageError(f"gallery {path} could not be used ({said}): {advice}. Nothing was changed")
