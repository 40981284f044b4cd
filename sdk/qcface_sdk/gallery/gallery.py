"""`Gallery`: enrolled people in one file, searched in memory."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from itertools import islice
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive, check_positive_int, check_threshold
from qcface_sdk.errors import InputError, NotFiniteError, OptionError, ShapeError, UnknownSubjectError
from qcface_sdk.gallery import store
from qcface_sdk.gallery.database import Database
from qcface_sdk.gallery.index import Index, Snapshot
from qcface_sdk.gallery.schema import check_integrity
from qcface_sdk.gallery.store import Enrolment
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.results import Candidate, Face, Identification, Outcome, Reason
from qcface_sdk.template import Template, check_contract_text

_log = logging.getLogger("qcface_sdk")

_ROWS_PER_BATCH = 4096
"""Rows decoded before they are copied into the index: bounds what loading needs beside it."""


class Gallery:
    """People and their templates in one SQLite file, made by `Gallery.open`.

    **Biometric data in plain form**: this version does not encrypt. The file is created readable by its owner only
    (mode 0600); keep it on an encrypted disk, and keep its backups as safe as itself.

    Every method is thread-safe, and several processes may have one gallery open at once: a search sees all that was
    enrolled and removed, by anyone, before it began. Searches of several threads run side by side and never wait for
    a write. A gallery cannot be carried over a fork: open it in the child. It must lie on a local disk, as SQLite's
    write-ahead log does not work on network file systems.

    When `enroll` or `remove` has returned, the change survives a crash of the program (kill -9) and of the machine, as
    far as the disk keeps its promise to have written what it says it has. An error means that nothing was changed.

    Examples
    --------
    >>> with Gallery.open("people.qcgallery") as gallery:
    ...     enrolled = gallery.enroll("ada", template)
    ...     gallery.identify(probe, threshold=0.4).subject
    'ada'
    """

    def __init__(self, database: Database, contract: str | None) -> None:
        self._database = database
        self._wanted = contract
        self._lock = threading.Lock()
        self._index = Index()
        self._head: store.Head | None = None
        self._version: int | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        contract: str | None = None,
        read_only: bool = False,
        timeout: float = 5.0,
    ) -> Gallery:
        """Open a gallery, and create it if there is no such file.

        Parameters
        ----------
        path : str or path
            File of the gallery; SQLite keeps two more beside it (``-wal``, ``-shm``) while it is open.
        contract : str or None
            Embedding contract the gallery must have, such as ``engine.contract``; a gallery without one takes it.
            ``None`` accepts any, and the first template enrolled sets it.
        read_only : bool
            Never write; the file must exist. Works on read-only media too.
        timeout : float
            Seconds to wait while another process writes.

        Returns
        -------
        Gallery

        Raises
        ------
        GalleryFormatError
            If the file is something else (it is left untouched), damaged, or of another schema version. The whole
            file is read and checked: nobody is identified from a damaged gallery.
        ContractMismatchError
            If the gallery holds embeddings of another contract.
        GalleryStorageError
            If the file or its folder is missing, unreadable, read-only or locked too long, or the disk is full.
        OptionError
            If `timeout` is not above 0 or `contract` is blank.
        """
        check_positive("timeout", timeout)
        if contract is not None:
            check_contract_text(contract)
        gallery = cls(Database(path, read_only=read_only, timeout=timeout), contract)
        try:
            if contract is not None and not read_only:
                with gallery._database.writing() as connection:
                    store.bind(connection, gallery.path, contract, None)
            with gallery._database.reading() as connection:
                check_integrity(connection, gallery.path)
            gallery._current()
        except BaseException:
            gallery.close()
            raise
        return gallery

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self._database.path

    @property
    def contract(self) -> str | None:
        """Embedding contract id of everything enrolled; ``None`` until there is one. Thread-safe."""
        return self._current()[0].contract

    def enroll(self, subject: str, source: Face | Template) -> Enrolment:
        """Add one template to a subject, new or known. Thread-safe.

        Parameters
        ----------
        subject : str
            Id of the person, 1..256 characters of any language without control characters. It is stored in plain
            form: an opaque number says less than a name.
        source : Face or Template
            A face from ``engine.get``, or several fused by ``engine.template``.

        Returns
        -------
        Enrolment
            Receipt: the template is on disk.

        Raises
        ------
        OptionError
            If `subject` is not usable.
        InputError, NotFiniteError
            If `source` is neither, has no embedding, or has one that is NaN, infinite or of zero length.
        ContractMismatchError
            If it was embedded under another contract than the gallery's.
        GalleryStorageError
            If the gallery is read-only, the disk is full, or another process writes for longer than the timeout.
        """
        name = check_subject(subject)
        template = _template(source)
        with self._database.writing() as connection:
            return store.insert_template(connection, self.path, name, template)

    def identify(
        self, probe: Face | Template | None, *, threshold: float, k: int = 5, retry_below: float | None = None
    ) -> Identification:
        """Search for the person on a probe (1:N). Thread-safe.

        Parameters
        ----------
        probe : Face, Template or None
            ``None`` stands for a picture without a face and is never accepted.
        threshold : float
            Smallest similarity that is accepted, -1..1. A threshold for comparing two pictures (1:1) lets through
            about as many times more strangers as there are subjects.
        k : int
            Most candidates in the result.
        retry_below : float or None
            Quality gate, 0..100, for probes that are faces: below it the decision is retry, whatever the similarity.

        Returns
        -------
        Identification
            Best subjects first, each as similar as its most similar template. Accept if the first reaches
            `threshold`; else reject, also if the gallery is empty; retry if the probe is missing, below the gate, or
            not finite.

        Raises
        ------
        ContractMismatchError
            If the probe was embedded under another contract than the gallery's.
        InputError
            If the probe is neither of these, or a face from ``engine.detect``.
        OptionError
            If `threshold`, `k` or `retry_below` is out of range.
        GalleryError
            If the gallery is closed, damaged or cannot be read. No error ever lets anyone in.
        """
        return self.identify_batch([probe], threshold=threshold, k=k, retry_below=retry_below)[0]

    def identify_batch(
        self,
        probes: Iterable[Face | Template | None],
        *,
        threshold: float,
        k: int = 5,
        retry_below: float | None = None,
    ) -> tuple[Identification, ...]:
        """Search for several probes in one scan, all against the same state of the gallery. Thread-safe.

        Parameters, results and errors are those of `identify`; one result per probe, in their order.
        """
        limit, most = check_threshold("threshold", threshold), check_positive_int("k", k)
        gate = _check_gate(retry_below)
        asked = list(probes)
        head, snapshot = self._current()
        vectors = [self._vector(probe, head) for probe in asked]
        found = iter(_search(snapshot, [vector for vector in vectors if vector is not None], most))
        return tuple(
            _identification(_unfit(probe, vector, gate), None if vector is None else next(found), limit, head.contract)
            for probe, vector in zip(asked, vectors, strict=True)
        )

    def remove(self, subject: str) -> int:
        """Remove a subject with all templates, and return how many there were. Thread-safe.

        The templates are overwritten in the file, and SQLite's log, which may hold copies, is emptied. If another
        process reads for longer than the timeout, that is left to the next removal or to closing, and logged. Copies
        that the disk or a backup keeps are beyond reach.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        OptionError, GalleryStorageError
            As for `enroll`.
        """
        name = check_subject(subject)
        with self._database.writing() as connection:
            count = store.delete_subject(connection, self.path, name)
        if not self._database.sweep():
            _log.warning("gallery log not emptied after a removal, as a reader is in the way; done at the next one")
        return count

    def get(self, subject: str) -> tuple[Template, ...]:
        """Return the templates of a subject, oldest first. Thread-safe.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        """
        name = check_subject(subject)
        with self._database.reading() as connection:
            rows = store.rows_of(connection, self.path, store.read_head(connection, self.path), name)
        if not rows:
            raise UnknownSubjectError(store.unknown(name, self.path))
        return tuple(row.template for row in rows)

    def subjects(self) -> tuple[str, ...]:
        """Return the ids of all subjects, sorted by code point. Thread-safe."""
        snapshot = self._current()[1]
        return tuple(sorted(islice(snapshot.names, snapshot.subjects)))

    def __len__(self) -> int:
        """Number of subjects."""
        return self._current()[1].subjects

    def close(self) -> None:
        """Close the file. Harmless when repeated; any other call afterwards raises `GalleryError`. Thread-safe."""
        self._database.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Gallery({self.path})"

    def _current(self) -> tuple[store.Head, Snapshot]:
        """Bring the index up to what is on disk, and return it."""
        with self._lock:
            # Read before the rows: a commit in between is noticed again next time, never missed.
            version = self._database.version()
            if self._head is None or version != self._version:
                self._head = self._refresh(self._head)
                self._version = version
            return self._head, self._index.snapshot()

    def _refresh(self, before: store.Head | None) -> store.Head:
        with self._database.reading() as connection:
            head = store.read_head(connection, self.path)
            if self._wanted is not None:
                store.check_contract(head, self._wanted, self.path)
            if self._index.last_id and (before is None or before.removals != head.removals):
                self._index.keep(np.array(store.template_ids(connection), np.int64))
            rows = store.rows_after(connection, self.path, head, self._index.last_id)
            while batch := list(islice(rows, _ROWS_PER_BATCH)):
                self._index.append(
                    [row.template_id for row in batch],
                    [row.subject for row in batch],
                    [row.template.vector for row in batch],
                )
            return head

    def _vector(self, probe: Any, head: store.Head) -> NDArray[np.float32] | None:
        """Unit vector of a probe, or ``None`` where there is nothing to compare."""
        if probe is None:
            return None
        if isinstance(probe, (Face, Template)):
            store.check_contract(head, probe.contract, self.path)
        try:
            vector = _template(probe).vector
        except NotFiniteError:
            return None
        if head.dimension not in (None, vector.size):
            raise ShapeError(f"gallery {self.path} holds vectors of {head.dimension} numbers, got {vector.size}")
        return vector


def _template(source: Any) -> Template:
    if isinstance(source, Template):
        return source
    if not isinstance(source, Face):
        raise InputError(
            f"a gallery takes a Face or a Template, got {type(source).__name__}; pass one of engine.get(image), or "
            "engine.template(faces)"
        )
    if source.embedding is None or source.contract is None:
        raise InputError("a gallery needs faces with embeddings, got one from detect(); use engine.get(image)")
    return Template.from_embeddings(source.embedding[None], source.contract)


def _unfit(probe: Any, vector: NDArray[np.float32] | None, gate: float | None) -> Reason:
    """Why a probe cannot lead to an accept, whoever is enrolled."""
    if probe is None:
        return Reason.NO_FACE
    reason = Reason.NOT_FINITE if vector is None else Reason.NONE
    if gate is not None and isinstance(probe, Face) and (probe.quality is None or not probe.quality >= gate):
        reason |= Reason.LOW_QUALITY_A
    return reason


def _search(snapshot: Snapshot, vectors: list[NDArray[np.float32]], k: int) -> list[tuple[Candidate, ...]]:
    if not vectors or not snapshot.subjects:
        return [()] * len(vectors)
    return snapshot.search(np.stack(vectors), k)


def _identification(
    unfit: Reason, candidates: tuple[Candidate, ...] | None, threshold: float, contract: str | None
) -> Identification:
    """Decide; `candidates` is ``None`` where nothing was searched. Only what nothing speaks against is accepted."""
    reason = unfit
    if candidates is not None:
        if not candidates:
            reason |= Reason.EMPTY_GALLERY
        elif not candidates[0].similarity >= threshold:  # so that NaN is below
            reason |= Reason.BELOW_THRESHOLD
    if reason is Reason.NONE:
        decision = Outcome.ACCEPT if candidates else Outcome.RETRY
    else:
        decision = Outcome.RETRY if unfit else Outcome.REJECT
    return Identification(candidates or (), threshold, decision, reason, contract)


def _check_gate(retry_below: Any) -> float | None:
    if retry_below is None:
        return None
    if isinstance(retry_below, bool) or not isinstance(retry_below, (int, float)) or not 0 <= retry_below <= 100:
        raise OptionError(f"retry_below must be a quality in 0..100 or None, got {retry_below!r}")
    return float(retry_below)
