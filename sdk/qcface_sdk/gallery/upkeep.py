"""What keeps an embedded gallery in order: keys, backups, retention, reports, moving people."""

from __future__ import annotations

import json
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from qcface_sdk.checks import check_positive_int
from qcface_sdk.errors import GalleryStorageError, OptionError
from qcface_sdk.gallery import moving, rows, store
from qcface_sdk.gallery.database import Database
from qcface_sdk.gallery.keyring import Keyring
from qcface_sdk.gallery.master import KEY_BYTES, FileKey, MasterKeySource, key_source, sync_folder
from qcface_sdk.gallery.moving import Conflict, Imported
from qcface_sdk.gallery.records import AuditEntry, Listed, Removal, Statistics, SubjectReport
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.gallery.terms import check_consent, check_expires
from qcface_sdk.gallery.transfer import to_text

Progress = Callable[[int], None]
"""Called with the number of people just done, or of what the method names."""

_CONCERNS = "subject = ? OR (subject IS NULL AND action IN ('backup', 'export') AND at >= ?)"
"""Lines of the audit log that a person may ask for; the second value is when the person was enrolled."""


class Upkeep(ABC):
    """The part of `EmbeddedGallery` that an operator uses. Every method is thread-safe."""

    _database: Database
    _source: MasterKeySource

    @property
    @abstractmethod
    def path(self) -> str:
        """Absolute path of the file."""

    @property
    @abstractmethod
    def keyring_path(self) -> str:
        """File of the wrapped keys."""

    @abstractmethod
    def _keys(self) -> Keyring: ...

    @abstractmethod
    def _remove(self, names: Sequence[str], action: str) -> list[Removal]: ...

    @abstractmethod
    def _shred(self, names: Sequence[str]) -> None: ...

    @abstractmethod
    def _changing(self) -> AbstractContextManager[tuple[Any, store.Head]]: ...

    @abstractmethod
    def _undisturbed(self, read: Callable[[], Any]) -> Any: ...

    def rotate_key(self, key: Any = None, *, progress: Progress | None = None) -> int:
        """Change the master key: wrap every person's key anew; return how many.

        Templates are not touched, so this takes moments. A cut at any point leaves a gallery that opens with one of the
        two keys. Other processes take the new key from the same file by themselves; where it comes from the environment
        or a function, they must be started again. Copies of the keyring made before open with the old key only.

        Parameters
        ----------
        key : str, path, bytes, callable or None
            The new one, as for `Gallery.open`; a key file that does not exist is made. ``None`` puts a new random key
            into the present key file.
        progress : callable or None
            Called with the number of keys just wrapped.

        Raises
        ------
        OptionError
            If `key` is ``None`` and the present one is not in a file.
        GalleryKeyError, GalleryStorageError
            If the new key cannot be had, or the files cannot be written; the old one stays then.
        """
        with self._changing() as (connection, head):
            keyring, old = self._keys(), self._source
            if key is None:
                if not isinstance(old, FileKey):
                    raise OptionError(f"the master key comes from the {old.name}; give the new one with key=")
                fresh = secrets.token_bytes(KEY_BYTES)
                old.prepare(fresh)
                count = keyring.rewrap(old, fresh, progress)
            else:
                source = key_source(key, self.path)
                count = keyring.rewrap(source, source.create(), progress)
                self._source = source
            store.write_audit(connection, head, "rotate-key", keys=count)
        return count

    def backup(self, destination: str | os.PathLike[str], *, progress: Progress | None = None) -> int:
        """Copy the gallery as it is into a new file, while everybody goes on using it; return how many people it holds.

        The copy holds no keys: it is worth nothing without the keyring, and who is removed later cannot be read in it.
        `restore` brings it back. `progress` is called with 1 for each MiB copied.

        Raises
        ------
        GalleryStorageError
            If the file exists or cannot be written.
        """
        path = os.path.abspath(os.fsdecode(destination))
        _new_file(path)
        try:
            people = self._database.copy_to(path, progress)
            _sync_file(path)
        except BaseException:
            os.unlink(path)
            raise
        if not self._database.read_only:
            with self._changing() as (connection, head):
                store.write_audit(connection, head, "backup", people=people, file=os.path.basename(path))
        return people

    def backup_keys(self, destination: str | os.PathLike[str]) -> int:
        """Copy the wrapped keys, over an earlier copy; return how many.

        Keep **one** copy, apart from the backups, and renew it after every removal: an old one could still open what it
        was made for.
        """
        with self._changing() as (connection, head):
            count = self._keys().copy(os.path.abspath(os.fsdecode(destination)))
            store.write_audit(connection, head, "backup-keys", keys=count)
        return count

    def expire(self, *, dry_run: bool = False) -> tuple[Removal | str, ...]:
        """Remove everybody whose time is over; with `dry_run` only return their ids."""
        with self._database.reading() as connection:
            now = store.read_head(connection, self.path).now()
            names = [person.name for person in store.people(connection, "expires <= ?", (now,))]
        if dry_run or not names:
            return tuple(names)
        return tuple(self._remove(names, "expire"))

    def set_terms(
        self,
        subject: str,
        *,
        consent: str | None = None,
        expires: float | datetime | None = None,
        forever: bool = False,
    ) -> None:
        """Note what a person agreed to and until when; ``None`` leaves a field as it is, `forever` takes the end away.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        OptionError
            If a value is not usable.
        """
        name, agreed, until = check_subject(subject), check_consent(consent), check_expires(expires)
        if forever and until is not None:
            raise OptionError("give expires or forever, not both")
        with self._changing() as (connection, head):
            person = store.known_person(connection, self.path, name)
            store.set_terms(connection, head, person, agreed, until)
            if forever:
                connection.execute("UPDATE subject SET expires = NULL WHERE subject_id = ?", (person.subject_id,))
            store.write_audit(
                connection, head, "terms", name, consent=agreed, expires=until, **({"forever": True} if forever else {})
            )

    def report(self, subject: str, *, vectors: bool = False, crops: bool = False) -> SubjectReport:
        """Return all that is held about one person, for the person's own request; noted in the audit log.

        Its audit lines are the person's own, and those of backups and exports of everybody since the person was
        enrolled: they say where else the data went. With `vectors` and `crops` also the biometric data itself (base64:
        float32 little endian, PNG).

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        """
        name = check_subject(subject)

        def read() -> SubjectReport:
            with self._database.reading() as connection:
                head, person = (
                    store.read_head(connection, self.path),
                    store.known_person(connection, self.path, name),
                )
                held = rows.templates_of(connection, self.path, head, self._keys(), person)
                (key,) = store.key_of(self._keys(), [person])
                kept = rows.crops_of(connection, self.path, head, key, person)
                return SubjectReport(
                    name,
                    person.created,
                    person.consent,
                    person.consented,
                    person.expires,
                    person.origin,
                    tuple(_template_report(one, kept.get(one.template_id, []), vectors, crops) for one in held),
                    tuple(entry.to_dict() for entry in _audit(connection, _CONCERNS, (name, person.created), -1)),
                )

        found: SubjectReport = self._undisturbed(read)
        if not self._database.read_only:
            with self._changing() as (connection, head):
                store.write_audit(connection, head, "report", name, vectors=vectors, crops=crops)
        return found

    def people(self) -> tuple[Listed, ...]:
        """Return everybody with what is noted about them, sorted by id."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT name, (SELECT count(*) FROM template WHERE template.subject_id = subject.subject_id), created, "
                "consent, expires, origin FROM subject"
            ).fetchall()
        return tuple(sorted((Listed(*row) for row in found), key=lambda person: person.subject))

    def audit(self, subject: str | None = None, *, last: int = 1000) -> tuple[AuditEntry, ...]:
        """Return the last lines of the audit log, oldest first; of one subject, or of all."""
        most = check_positive_int("last", last)
        condition, values = ("1", ()) if subject is None else ("subject = ?", (subject,))
        with self._database.reading() as connection:
            return _audit(connection, condition, values, most)

    def statistics(self) -> Statistics:
        """Return figures of the gallery."""
        with self._database.reading() as connection:
            head = store.read_head(connection, self.path)

            def count(what: str, *values: float) -> int:
                return int(connection.execute(f"SELECT count(*) FROM {what}", values).fetchone()[0])

            templates = count("code")
            return Statistics(
                subjects=count("subject"),
                templates=templates,
                crops=count("crop"),
                expired=count("subject WHERE expires <= ?", head.now()),
                contract=head.contract,
                dimension=head.dimension,
                gallery=head.gallery_id.hex(),
                created=head.created,
                file_bytes=sum(_size(self.path + ending) for ending in ("", "-wal")),
                keyring_bytes=_size(self.keyring_path),
                search_bytes=templates * ((head.dimension or 0) + 12),
            )

    def export(
        self,
        destination: str | os.PathLike[str],
        passphrase: str,
        *,
        subjects: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Write people into a new file under a passphrase, for another machine; return how many. It is audited.

        Unlike a backup the file opens without the keyring: who has it and the passphrase has the people, removed or
        not.

        Raises
        ------
        UnknownSubjectError
            If one of `subjects` is not there.
        OptionError
            If the passphrase has fewer than 12 characters.
        GalleryStorageError
            If the file exists or cannot be written.
        """
        path = os.path.abspath(os.fsdecode(destination))
        count: int = self._undisturbed(
            lambda: moving.export_people(self._database, self.path, self._keys, path, passphrase, subjects, progress)
        )
        if not self._database.read_only:
            with self._changing() as (connection, head):
                # By id where only some left, so that each of them can be told.
                for name in [None] if subjects is None else list(dict.fromkeys(subjects)):
                    store.write_audit(connection, head, "export", name, people=count, file=os.path.basename(path))
        return count

    def import_from(
        self,
        source: str | os.PathLike[str],
        passphrase: str,
        *,
        conflict: Conflict = "refuse",
        progress: Progress | None = None,
    ) -> Imported:
        """Read people from an export: all of them, or none after an error.

        Parameters
        ----------
        source : str or path
        passphrase : str
        conflict : str
            What to do with ids that are enrolled already: ``"refuse"``, ``"skip"``, ``"add"`` templates that are not
            there yet, or ``"replace"`` the person.

        Raises
        ------
        DuplicateSubjectError
            If an id is there already and `conflict` is ``"refuse"``, or twice in the file.
        ContractMismatchError
            If the file, or a template in it, is of another contract than the gallery.
        GalleryKeyError
            If the passphrase is wrong.
        GalleryFormatError
            If the file is something else, cut off or altered.
        """
        path = os.path.abspath(os.fsdecode(source))
        plan = moving.read_plan(path, passphrase, self.path, conflict)
        with self._changing() as (connection, _):
            done = moving.import_people(connection, self.path, self._keys(), path, passphrase, plan, progress)
        if done.replaced:
            self._shred(done.replaced)
        return done


def _template_report(held: rows.Held, kept: list[bytes], vectors: bool, crops: bool) -> dict[str, Any]:
    template = held.template
    found: dict[str, Any] = {
        "uid": held.uid,
        "created": template.created,
        "pictures": template.count,
        "magnitude": template.magnitude,
        "quality": held.quality,
        "contract": template.contract,
        "kept_crops": len(kept),
    }
    if vectors:
        found["vector"] = to_text(template.vector.astype("<f4").tobytes())
    if crops:
        found["crops"] = [to_text(crop) for crop in kept]
    return found


def _audit(connection: Any, condition: str, values: tuple[Any, ...], last: int) -> tuple[AuditEntry, ...]:
    found = connection.execute(
        f"SELECT audit_id, at, action, subject, detail FROM audit WHERE {condition} ORDER BY audit_id DESC "
        f"LIMIT {last}",
        values,
    ).fetchall()
    return tuple(
        AuditEntry(number, at, action, subject, json.loads(detail))
        for number, at, action, subject, detail in reversed(found)
    )


def _new_file(path: str) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise GalleryStorageError(
            f"cannot write {path}: {error.strerror or error}; choose a new name in a folder that can be written"
        ) from error


def _sync_file(path: str) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(path)
    except OSError as error:
        raise GalleryStorageError(
            f"cannot write {path}: {error.strerror or error}; free some space there or choose another disk"
        ) from error


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0
