"""Bring a gallery back from a backup and the wrapped keys that are left."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qcface_sdk.errors import GalleryStorageError
from qcface_sdk.gallery import store
from qcface_sdk.gallery.database import real_path
from qcface_sdk.gallery.keyring import Keyring
from qcface_sdk.gallery.master import key_source, sync_folder
from qcface_sdk.gallery.schema import check_header, check_integrity, check_schema
from qcface_sdk.gallery.storage_errors import storage_errors

_KEPT_FOR_LATER = 2
"""State of a slot whose key belongs to somebody who is not in this backup but may be in a newer one."""


@dataclass(frozen=True, slots=True)
class Restored:
    """Outcome of a restoration."""

    subjects: int
    """People who are back."""

    left_out: tuple[str, ...]
    """People of the backup whose keys are gone: removed since, and so unreadable for good."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {"subjects": self.subjects, "left_out": list(self.left_out)}


def restore(
    backup: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    key: Any = None,
    keyring: str | os.PathLike[str] | None = None,
    replace: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Restored:
    """Make a gallery of a backup.

    Parameters
    ----------
    backup : str or path
        File that `EmbeddedGallery.backup` wrote; it is only read.
    path : str or path
        Where the gallery is to be.
    key : str, path, bytes, callable or None
        Master key, as for `Gallery.open`.
    keyring : str, path or None
        A copy that `EmbeddedGallery.backup_keys` wrote; ``None`` uses the file of wrapped keys beside `path`.
    replace : bool
        Whether files that are there may be replaced. Close the gallery everywhere first.
    progress : callable or None
        Called with 1 for each MiB copied.

    Raises
    ------
    GalleryFormatError
        If the backup is no gallery, or damaged.
    GalleryKeyError
        If the wrapped keys are missing or another gallery's, or the master key is wrong.
    GalleryStorageError
        If a file is in the way, or cannot be written.
    """
    source, target = real_path(backup), real_path(path)
    check_header(source, may_be_empty=False)
    copy = None if keyring is None else real_path(keyring)
    for file in [target] + ([] if copy is None else [f"{target}.keyring"]):
        if os.path.exists(file) and not replace:
            raise GalleryStorageError(f"{file} is there already; move it away, or allow it to be replaced")
    draft = f"{target}.restoring"
    try:
        _copy(source, draft, progress)
        done = _fit(draft, copy or f"{target}.keyring", target, key)
        _take_the_place(draft, copy, target)
    except OSError as error:
        if isinstance(error, GalleryStorageError):
            raise
        raise GalleryStorageError(f"cannot restore {target}: {error.strerror or error}") from error
    finally:
        for left in (draft, f"{target}.keyring.restoring"):
            if os.path.exists(left):
                os.unlink(left)
    return done


def _take_the_place(draft: str, keyring: str | None, target: str) -> None:
    """Put the gallery, and a copy of the wrapped keys if one was given, in their places."""
    if keyring is not None:
        _copy(keyring, f"{target}.keyring.restoring")
        os.replace(f"{target}.keyring.restoring", f"{target}.keyring")
    for ending in ("-wal", "-shm"):
        if os.path.exists(target + ending):
            os.unlink(target + ending)
    os.replace(draft, target)
    sync_folder(target)


def _fit(draft: str, keyring_path: str, target: str, key: Any) -> Restored:
    """Leave out who has no key any more, and book the slots as the keyring has them now."""
    with storage_errors(draft):
        connection = sqlite3.connect(draft, isolation_level=None)
        try:
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("BEGIN IMMEDIATE")
            check_schema(connection, draft)
            check_integrity(connection, draft)
            head = store.read_head(connection, draft)
            keyring = Keyring(keyring_path, head.gallery_id, key_source(key, target), read_only=True)
            try:
                gone = [person for person in store.people(connection) if not keyring.holds(person.slot, person.key_id)]
                for person in gone:
                    store.delete_person(connection, person)
                _book_slots(connection, *keyring.empty_slots())
            finally:
                keyring.close()
            left = tuple(person.name for person in gone)
            subjects = int(connection.execute("SELECT count(*) FROM subject").fetchone()[0])
            store.write_audit(connection, head, "restore", people=subjects, left_out=len(left))
            connection.execute("COMMIT")
            return Restored(subjects, left)
        finally:
            connection.close()


def _book_slots(connection: sqlite3.Connection, empty: list[int], count: int) -> None:
    connection.execute("DELETE FROM spare_slot")
    connection.executemany("INSERT INTO spare_slot VALUES (?, 1)", [(slot,) for slot in empty])
    if count and count - 1 not in empty:
        # New people get slots beyond the last one, so that no key of a newer backup is overwritten.
        used = connection.execute("SELECT 1 FROM subject WHERE slot = ?", (count - 1,)).fetchone()
        if used is None:
            connection.execute("INSERT INTO spare_slot VALUES (?, ?)", (count - 1, _KEPT_FOR_LATER))


def _copy(source: str, destination: str, progress: Callable[[int], None] | None = None) -> None:
    with open(source, "rb") as read:
        handle = os.open(destination, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "wb") as written:
            while piece := read.read(2**20):
                written.write(piece)
                if progress is not None:
                    progress(1)
            written.flush()
            os.fsync(written.fileno())
