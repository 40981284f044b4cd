"""`EmbeddedGallery`: people in one encrypted file, searched in memory."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import GalleryKeyError, GalleryStorageError, ShapeError
from qcface_sdk.gallery import rows, store
from qcface_sdk.gallery.database import Database, real_path
from qcface_sdk.gallery.gallery import Gallery
from qcface_sdk.gallery.index import Index, Snapshot
from qcface_sdk.gallery.judgement import Admission, Judge, check_contract_of
from qcface_sdk.gallery.keyring import RECORD_BYTES, Keyring
from qcface_sdk.gallery.master import MasterKeySource, key_source
from qcface_sdk.gallery.ranking import rank
from qcface_sdk.gallery.records import Enrolment, Removal
from qcface_sdk.gallery.schema import check_integrity
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.gallery.upkeep import Progress, Upkeep
from qcface_sdk.results import Candidate, Face
from qcface_sdk.template import Template, check_contract_text

_log = logging.getLogger("qcface_sdk")
_Answer = TypeVar("_Answer")

_CHECKED_BYTES = 64 * 2**20
"""Files up to this size are checked as a whole when opened. All that is used of a larger one is checked as it is
read, as every row is sealed; `check` looks at the rest."""

_KEPT_ROWS = 4096
"""Float rows kept until the next change, 8 MB of 512 numbers: a small gallery is read once, not per search."""

_Known = dict[int, rows.Held]

_TRIES = 5
"""Readings that a removal may get in the way of before it counts as an error."""


class EmbeddedGallery(Upkeep, Gallery):
    """People in one file, every template encrypted (AES-256-GCM), made by `Gallery.open`.

    Files: ``PATH`` holds the sealed templates, ``PATH.keyring`` one wrapped key per person, and unless the master key
    comes from elsewhere ``PATH.key`` holds that. Backups leave the last two out, so removing a person makes every copy
    of the templates unreadable. Ids, times, consent and the audit log are in plain form. While the gallery is open, the
    search's codes are in memory in plain form.

    When `enroll` has returned, the template and its key survive kill -9 and a power cut, as far as the disk keeps its
    promise to have written what it says it has: the key is synced before the database commits, so that there never is a
    template without its key. When `remove` has returned, the rows are deleted and the key is overwritten, both synced.

    Searches of several threads run side by side and never wait for a write. A gallery cannot be carried over a fork:
    open it in the child. It must lie on a local disk, as SQLite's write-ahead log does not work on network file
    systems.
    """

    def __init__(
        self,
        path: str,
        contract: str | None,
        judge: Judge | None,
        source: MasterKeySource,
        *,
        read_only: bool,
        timeout: float,
        threads: int,
    ) -> None:
        super().__init__(judge)
        self._path, self._wanted, self._source = path, contract, source
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, "qcface-search") if threads > 1 else None
        self._index = Index(self._pool)
        self._head: store.Head | None = None
        self._version: int | None = None
        self._known: _Known = {}
        self._keyring: Keyring | None = None
        self._database = Database(path, read_only=read_only, timeout=timeout, before_creation=self._make_keyring)

    @classmethod
    def open_file(
        cls,
        path: str | os.PathLike[str],
        contract: str | None = None,
        *,
        engine: Judge | None = None,
        key: Any = None,
        read_only: bool = False,
        timeout: float = 5.0,
        threads: int = 1,
    ) -> EmbeddedGallery:
        """Open a file; parameters and errors are those of `Gallery.open`."""
        if contract is not None:
            check_contract_text(contract)
        wanted, name = check_contract_of(engine, contract), real_path(path)
        gallery = cls(
            name, wanted, engine, key_source(key, name), read_only=read_only, timeout=timeout, threads=threads
        )
        try:
            gallery._begin(read_only)
        except BaseException:
            gallery.close()
            raise
        return gallery

    def _begin(self, read_only: bool) -> None:
        with self._database.reading() as connection:
            head = store.read_head(connection, self.path)
        self._keyring = Keyring(self.keyring_path, head.gallery_id, self._source, read_only=read_only)
        if not read_only:
            with self._database.writing() as connection:
                if self._wanted is not None:
                    store.bind(connection, self.path, self._wanted, None)
                # A removal that was cut off between the rows and the key is finished now.
                store.shred_pending(connection, self._keyring)
        if os.path.getsize(self.path) <= _CHECKED_BYTES:
            self.check()
        self._current()

    def _make_keyring(self, gallery_id: bytes) -> None:
        """Make the keys of a gallery that is being made, on disk before it is."""
        path = self.keyring_path
        if os.path.exists(path) and os.path.getsize(path) > RECORD_BYTES:
            raise GalleryKeyError(
                f"{path} holds the wrapped keys of an earlier gallery; bring that back with `qcface gallery restore`, "
                "or move the file away. Nothing was changed"
            )
        Keyring.create(path, gallery_id, self._source)

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self._path

    @property
    def keyring_path(self) -> str:
        """File of the wrapped keys."""
        return f"{self.path}.keyring"

    @property
    def contract(self) -> str | None:
        """Embedding contract id of everything enrolled; ``None`` until there is one. Thread-safe."""
        return self._current()[0].contract

    def check(self, *, progress: Progress | None = None) -> int:
        """Check every page and index of the file and unseal every template; return how many. Thread-safe.

        `progress` is called with the number of templates just unsealed.

        Raises
        ------
        GalleryFormatError
            If something is damaged, altered or moved from another person.
        GalleryKeyError
            If a person's key is gone.
        """

        def read() -> int:
            with self._database.reading() as connection:
                check_integrity(connection, self.path)
                head = store.read_head(connection, self.path)
                return rows.check_templates(connection, self.path, head, self._keys(), progress)

        return self._undisturbed(read)

    def remove(self, subject: str) -> Removal:
        """Remove a subject with all templates and kept pictures, and return the receipt. Thread-safe.

        The rows are deleted, then the person's key is overwritten, which makes copies in backups unreadable too; both
        are on disk when this returns. SQLite's log, which may hold copies of the sealed rows, is emptied; if another
        process reads for longer than the timeout, that is left to the next removal or to closing, and logged. Copies of
        the keyring made earlier still hold the key: replace them.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        OptionError, GalleryStorageError
            As for `enroll`.
        """
        return self._remove([check_subject(subject)], "remove")[0]

    def _remove(self, names: Sequence[str], action: str) -> list[Removal]:
        receipts = []
        with self._database.writing() as connection:
            head = store.read_head(connection, self.path)
            for name in names:
                person = store.known_person(connection, self.path, name)
                templates, crops = store.delete_person(connection, person)
                key = hashlib.sha256(person.key_id).hexdigest()[:16]
                at = store.write_audit(connection, head, action, name, templates=templates, crops=crops, key=key)
                receipts.append(Removal(name, templates, crops, at, head.gallery_id.hex(), key))
        self._shred(names)
        if not self._database.sweep():
            _log.warning("gallery log not emptied after a removal, as a reader is in the way; done at the next one")
        return receipts

    def _shred(self, names: Sequence[str]) -> None:
        """Overwrite the keys of people whose rows are gone."""
        try:
            with self._database.writing() as connection:
                store.shred_pending(connection, self._keys())
        except GalleryStorageError as error:
            raise GalleryStorageError(
                f"{', '.join(names)} removed from gallery {self.path}, but the key is not overwritten yet ({error}); "
                "the next removal or opening finishes that"
            ) from error

    def get(self, subject: str, *, expired: bool = False) -> tuple[Template, ...]:
        """Return the templates of a subject, oldest first; none after the person's time unless `expired`. Thread-safe.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        """
        return tuple(held.template for held in self._held(check_subject(subject), expired=expired))

    def subjects(self) -> tuple[str, ...]:
        """Return the ids of all subjects, sorted by code point. Thread-safe."""
        with self._database.reading() as connection:
            return tuple(sorted(name for (name,) in connection.execute("SELECT name FROM subject")))

    def __len__(self) -> int:
        """Number of subjects."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM subject").fetchone()[0])

    def close(self) -> None:
        """Close the files. Harmless when repeated; any other call afterwards raises `GalleryError`. Thread-safe."""
        self._database.close()
        if self._keyring is not None:
            self._keyring.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False)

    @property
    def size(self) -> int:
        """Number of templates, which is the number of comparisons of a search. Thread-safe."""
        return self._current()[1].rows

    def _check_probe(self, probe: Any, contract: str | None) -> None:
        if contract is not None and isinstance(probe, (Face, Template)):
            store.check_contract(self._current()[0], probe.contract, self.path)

    def _store(self, admission: Admission) -> Enrolment:
        template, name = admission.template, admission.name
        with self._database.writing() as connection:
            head = store.bind(connection, self.path, template.contract, template.vector.size)
            ((person, key),) = store.add_people(connection, self._keys(), head, [name]).values()
            new = store.NewTemplate(template, admission.quality, admission.crops)
            ((number, uid),) = store.insert_templates(connection, head, person, key, [new])
            store.set_terms(connection, head, person, admission.consent, admission.expires)
            allowed, crops = list(admission.issues.names()), len(admission.crops)
            quality = None if admission.quality is None else round(admission.quality, 1)
            store.write_audit(
                connection, head, "enroll", name, template=uid, quality=quality, crops=crops, allowed=allowed
            )
            count = store.count_templates(connection, person)
        return Enrolment(
            name, number, count, template.created, admission.quality, admission.issues, admission.similar_to, uid
        )

    def _nearest(self, vectors: list[NDArray[np.float32]], k: int) -> list[tuple[Candidate, ...]]:
        if not vectors:
            return []

        def search() -> list[tuple[Candidate, ...]]:
            head, snapshot, known = self._state()
            for vector in vectors:
                if head.dimension not in (None, vector.size):
                    raise ShapeError(
                        f"gallery {self.path} holds vectors of {head.dimension} numbers, got {vector.size}"
                    )
            if not snapshot.rows:
                return [()] * len(vectors)
            now = head.now()

            def read(ids: Sequence[int]) -> list[rows.Held]:
                found = self._templates(head, known, ids)
                return [held for held in found if held.valid(now)]

            return rank(snapshot, np.stack(vectors), k, read)

        return self._undisturbed(search)

    def _templates(self, head: store.Head, known: _Known, ids: Sequence[int]) -> list[rows.Held]:
        """Return those of some templates that are there."""
        unknown = [number for number in ids if number not in known]
        found = {number: known[number] for number in ids if number in known}
        if unknown:
            with self._database.reading() as connection:
                read = rows.templates_by_id(connection, self.path, head, self._keys(), unknown)
            found.update((held.template_id, held) for held in read)
            if len(known) + len(read) <= _KEPT_ROWS:
                known.update((held.template_id, held) for held in read)
        return list(found.values())

    def _current(self) -> tuple[store.Head, Snapshot]:
        """Bring the index up to what is on disk, and return it."""
        return self._state()[:2]

    def _state(self) -> tuple[store.Head, Snapshot, _Known]:
        """Bring the index up to what is on disk; return it with the rows that were read since the last change."""
        with self._lock:
            # Read before the rows: a commit in between is noticed again next time, never missed.
            version = self._database.version()
            if self._head is None or version != self._version:
                self._head = self._undisturbed(lambda: self._refresh(self._head))
                self._version, self._known = version, {}
            return self._head, self._index.snapshot(), self._known

    def _refresh(self, before: store.Head | None) -> store.Head:
        with self._database.reading() as connection:
            head = store.read_head(connection, self.path)
            if self._wanted is not None:
                store.check_contract(head, self._wanted, self.path)
            if before is not None and before.removals != head.removals:
                self._index.drop(store.gone_since(connection, before.removals))
            for batch in rows.codes_after(connection, self.path, head, self._keys(), self._index.last_id):
                self._index.append(batch)
            return head

    def _keys(self) -> Keyring:
        if self._keyring is None:
            raise GalleryKeyError(f"gallery {self.path} has no keyring yet")
        self._keyring.refresh()
        return self._keyring

    def _after(self, template_id: int, most: int) -> list[rows.Held]:
        """Return the next templates in the order of their numbers."""

        def read() -> list[rows.Held]:
            with self._database.reading() as connection:
                head = store.read_head(connection, self.path)
                return rows.templates_after(connection, self.path, head, self._keys(), template_id, most)

        return self._undisturbed(read)

    def _held(self, name: str, *, expired: bool) -> list[rows.Held]:
        def read() -> list[rows.Held]:
            with self._database.reading() as connection:
                person = store.known_person(connection, self.path, name)
                head = store.read_head(connection, self.path)
                found, now = rows.templates_of(connection, self.path, head, self._keys(), person), head.now()
                return [held for held in found if expired or held.valid(now)]

        return self._undisturbed(read)

    def _undisturbed(self, read: Callable[[], _Answer]) -> _Answer:
        """Read again if somebody was removed meanwhile: the rows seen are then older than the keys."""
        for attempt in range(_TRIES):
            version = self._database.version()
            try:
                return read()
            except GalleryKeyError:
                if attempt == _TRIES - 1 or self._database.version() == version:
                    raise
        raise AssertionError("unreachable")

    @contextmanager
    def _changing(self) -> Iterator[tuple[Any, store.Head]]:
        """Run the block as the only writer, on the head as it is."""
        with self._database.writing() as connection:
            yield connection, store.read_head(connection, self.path)
