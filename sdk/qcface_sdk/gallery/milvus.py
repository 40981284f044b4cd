"""`MilvusGallery`: people in a collection of a vector server, for more than one machine."""

from __future__ import annotations

import logging
import os
import secrets
import time
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive
from qcface_sdk.errors import (
    ContractMismatchError,
    GalleryError,
    GalleryStorageError,
    GalleryUnreachableError,
    OptionError,
    ShapeError,
    UnknownSubjectError,
)
from qcface_sdk.gallery.address import parse_address
from qcface_sdk.gallery.collection import MOST_ROWS, Collection, end_of
from qcface_sdk.gallery.gallery import Gallery
from qcface_sdk.gallery.judgement import Admission, Judge, check_contract_of
from qcface_sdk.gallery.records import Enrolment, Listed, Removal
from qcface_sdk.gallery.server_row import LISTED, Listing, row_of, template_of_row
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.gallery.terms import check_consent, check_expires
from qcface_sdk.results import Candidate, Face
from qcface_sdk.template import Template, check_contract_text

_log = logging.getLogger("qcface_sdk")

TOKEN_VARIABLE = "QCFACE_MILVUS_TOKEN"
"""Environment variable of the server's token, ``user:password`` for example."""

_ROWS_PER_SUBJECT = 4


class MilvusGallery(Gallery):
    """People in a collection of a Milvus server, made by ``Gallery.open("milvus://host:19530/name")``.

    **The server holds the vectors in plain form**, as it has to compare them: whoever reads its memory, disks or
    backups has biometric data. Use TLS and a token, encrypted disks, a network of its own, and opaque ids.

    Searches are as exact as the server's index: ``FLAT``, the default, compares with everybody. A request that fails
    is sent again `retries` times, then raises `GalleryUnreachableError`; with a `fallback` gallery, searches are
    answered by that one meanwhile, and said so in the log.
    """

    def __init__(
        self,
        collection: Collection,
        judge: Judge | None,
        contract: str | None,
        fallback: Gallery | None,
        *,
        read_only: bool,
    ) -> None:
        super().__init__(judge)
        self._collection, self._wanted, self._fallback = collection, contract, fallback
        self._read_only, self._closed = read_only, False
        self._bound: tuple[str, int] | None = None

    @classmethod
    def connect(
        cls,
        address: str,
        contract: str | None = None,
        *,
        engine: Judge | None = None,
        read_only: bool = False,
        timeout: float = 5.0,
        token: str | None = None,
        tls: bool = False,
        retries: int = 2,
        index: str = "FLAT",
        fallback: Gallery | None = None,
    ) -> MilvusGallery:
        """Connect to a collection; it is made with the first enrolment.

        Parameters
        ----------
        address : str
            ``milvus://host:port/name``, or ``milvus:///path/file.db/name`` for milvus-lite, which serves one process.
        contract, engine, read_only, timeout
            As for `Gallery.open`; the timeout holds for each try.
        token : str or None
            Token, or ``user:password``; ``None`` is the environment variable ``QCFACE_MILVUS_TOKEN``, or none.
        tls : bool
            Connect by TLS.
        retries : int
            Tries after the first one.
        index : str
            Index of a new collection: ``FLAT`` (exact), or one of the server's approximate ones, such as ``HNSW``.
        fallback : Gallery or None
            Answers searches while the server does not, such as a door's synchronised gallery.

        Raises
        ------
        GalleryUnreachableError
            If the server does not answer and there is no fallback.
        ContractMismatchError
            If the collection holds embeddings of another contract.
        BackendUnavailableError
            If pymilvus is not installed.
        OptionError
            If an option is out of range.
        """
        check_positive("timeout", timeout)
        if isinstance(retries, bool) or not isinstance(retries, int) or not 0 <= retries <= 20:
            raise OptionError(f"retries must be a whole number in 0..20, got {retries!r}")
        if contract is not None:
            check_contract_text(contract)
        wanted, place = check_contract_of(engine, contract), parse_address(address, tls=tls)
        secret = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        collection = Collection(place, token=secret, timeout=timeout, retries=retries, index=index)
        gallery = cls(collection, engine, wanted, fallback, read_only=read_only)
        try:
            gallery._bind()
        except GalleryUnreachableError as error:
            if fallback is None:
                raise
            _log.warning("%s; searches are answered by %s", error, fallback.path)
        return gallery

    @property
    def path(self) -> str:
        """Address of the collection."""
        return self._collection.address.text

    @property
    def contract(self) -> str | None:
        """Embedding contract id of everything enrolled; ``None`` until there is one. Thread-safe."""
        try:
            bound = self._bind()
        except GalleryUnreachableError:
            if self._fallback is None:
                raise
            return self._fallback.contract
        return None if bound is None else bound[0]

    def remove(self, subject: str) -> Removal:
        """Remove a subject with all templates, and return the receipt. Thread-safe.

        The server deletes at once for every search; when the bytes leave its disks is up to the server (compaction)
        and its backups.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        GalleryUnreachableError
            If the server does not answer.
        """
        name = check_subject(subject)
        rows = self._rows_of(name)
        self._writable().delete_person(name)
        return Removal(name, len(rows), 0, time.time(), self._collection.address.collection, "")

    def get(self, subject: str, *, expired: bool = False) -> tuple[Template, ...]:
        """Return the templates of a subject, oldest first; none after the person's time unless `expired`. Thread-safe.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        """
        rows, now = self._rows_of(check_subject(subject)), time.time()
        return tuple(template_of_row(row) for row in rows if expired or row["expires"] < 0 or row["expires"] > now)

    def subjects(self) -> tuple[str, ...]:
        """Return the ids of all subjects, sorted by code point: reads every row's id. Thread-safe."""
        if self._bind() is None:
            return ()
        return tuple(sorted({str(row["subject"]) for row in self._open().listing(["uid", "subject"])}))

    def people(self) -> tuple[Listed, ...]:
        """Return everybody with what is noted about them, sorted by id: reads every row. Thread-safe."""
        held: dict[str, list[Listing]] = {}
        for one in self.listing():
            held.setdefault(one.subject, []).append(one)
        return tuple(
            Listed(name, len(own), min(one.enrolled for one in own), own[0].consent, own[0].expires, "central")
            for name, own in sorted(held.items())
        )

    def expire(self, *, dry_run: bool = False) -> tuple[Removal | str, ...]:
        """Remove everybody whose time is over by this machine's clock; with `dry_run` only return their ids."""
        now = time.time()
        names = [one.subject for one in self.people() if one.expires is not None and one.expires <= now]
        return tuple(names) if dry_run else tuple(self.remove(name) for name in names)

    def set_terms(
        self,
        subject: str,
        *,
        consent: str | None = None,
        expires: float | datetime | None = None,
        forever: bool = False,
    ) -> None:
        """Note what a person agreed to and until when; ``None`` leaves a field as it is, `forever` takes the end away.

        Errors are those of `EmbeddedGallery.set_terms`, and `GalleryUnreachableError`: a part of the person's templates
        may have the new terms then, and the same call again completes it.
        """
        name, agreed, until = check_subject(subject), check_consent(consent), check_expires(expires)
        if forever and until is not None:
            raise OptionError("give expires or forever, not both")
        collection = self._writable()
        for row in self._rows_of(name):
            end = end_of(None) if forever else row["expires"] if until is None else until
            collection.put({**row, "consent": agreed or row["consent"], "expires": end})

    def listing(self) -> tuple[Listing, ...]:
        """Return what is noted of every template: what a synchronisation compares. Thread-safe."""
        if self._bind() is None:
            return ()
        return tuple(Listing.of(row) for row in self._open().listing(LISTED))

    def rows(self, uids: list[str]) -> list[dict[str, Any]]:
        """Return the rows with these uids. Thread-safe."""
        return self._open().by_uid(uids) if uids else []

    def __len__(self) -> int:
        """Number of subjects: reads every row's id."""
        return len(self.subjects())

    def close(self) -> None:
        """Close the connection. Harmless when repeated; any other call afterwards raises `GalleryError`."""
        self._closed = True
        self._collection.close()

    def _open(self) -> Collection:
        if self._closed:
            raise GalleryError(f"gallery {self.path} is closed; open it again with Gallery.open")
        return self._collection

    def _writable(self) -> Collection:
        if self._read_only:
            raise GalleryStorageError(f"gallery {self.path} was opened with read_only=True; open it without")
        return self._open()

    def _bind(self) -> tuple[str, int] | None:
        """Return contract and dimension of what is enrolled; ``None`` of nobody.

        Raises
        ------
        ContractMismatchError
            If that is not what this gallery was opened for.
        """
        collection = self._open()
        if self._bound is None and collection.exists():
            row = collection.any_row()
            self._bound = None if row is None else (str(row["contract"]), len(row["vector"]))
        if self._bound is not None:
            self._check_contract(self._bound[0], self._wanted)
        return self._bound

    def _check_contract(self, held: str, contract: str | None) -> None:
        if contract is not None and held != contract:
            raise ContractMismatchError(
                f"gallery {self.path} holds embeddings of {held}, got {contract}; open it with the model it was made "
                "with, or enrol everyone again into a new collection"
            )

    def _rows_of(self, name: str) -> list[dict[str, Any]]:
        rows = [] if self._bind() is None else self._open().of_person(name)
        if not rows:
            raise UnknownSubjectError(
                f"gallery {self.path} holds no subject {name!r}; gallery.subjects() lists those it holds"
            )
        return rows

    @property
    def size(self) -> int:
        """Number of templates, which is the number of comparisons of a search. Thread-safe."""
        try:
            return 0 if self._bind() is None else self._open().count()
        except GalleryUnreachableError:
            if self._fallback is None:
                raise
            return self._fallback.size

    def _check_probe(self, probe: Any, contract: str | None) -> None:
        if contract is not None and isinstance(probe, (Face, Template)) and probe.contract != contract:
            self._check_contract(contract, str(probe.contract))

    def _store(self, admission: Admission) -> Enrolment:
        if admission.crops:
            raise OptionError("a vector server keeps no pictures; leave crops out, or keep them in an embedded gallery")
        template, collection = admission.template, self._writable()
        bound = self._bind()
        if bound is None:
            if self._wanted is not None:
                self._check_contract(self._wanted, template.contract)
            collection.create(template.vector.size)
        else:
            self._check_contract(bound[0], template.contract)
            if bound[1] != template.vector.size:
                raise ShapeError(f"gallery {self.path} holds vectors of {bound[1]} numbers, got {template.vector.size}")
        before = collection.of_person(admission.name)
        uid, now = secrets.token_hex(16), time.time_ns()
        consent = admission.consent or next((str(row["consent"]) for row in before if row["consent"]), "")
        known = next((float(row["expires"]) for row in before), end_of(None))
        expires = known if admission.expires is None else admission.expires
        collection.put(row_of(uid, admission.name, template, admission.quality, consent, expires, now))
        for row in before:
            if (float(row["expires"]), str(row["consent"])) != (expires, consent):
                collection.put({**row, "expires": expires, "consent": consent})
        return Enrolment(
            admission.name,
            0,
            len(before) + 1,
            template.created,
            admission.quality,
            admission.issues,
            admission.similar_to,
            uid,
        )

    def _nearest(self, vectors: list[NDArray[np.float32]], k: int) -> list[tuple[Candidate, ...]]:
        if not vectors:
            return []
        try:
            bound = self._bind()
            if bound is None:
                return [()] * len(vectors)
            for vector in vectors:
                if vector.size != bound[1]:
                    raise ShapeError(f"gallery {self.path} holds vectors of {bound[1]} numbers, got {vector.size}")
            return self._searched(vectors, k, bound[0])
        except GalleryUnreachableError as error:
            if self._fallback is None:
                raise
            _log.warning("%s; %s answers instead", error, self._fallback.path)
            return self._fallback._nearest(vectors, k)

    def _searched(self, vectors: list[NDArray[np.float32]], k: int, contract: str) -> list[tuple[Candidate, ...]]:
        limit = min(MOST_ROWS, _ROWS_PER_SUBJECT * k)
        while True:
            found = self._open().nearest(vectors, limit, time.time())
            ranked = [self._ranked(hits, vector, k, contract) for hits, vector in zip(found, vectors, strict=True)]
            # Fewer subjects than wanted: others may hide behind one person's many templates.
            if limit == MOST_ROWS or all(
                len(best) == k or len(hits) < limit for best, hits in zip(ranked, found, strict=True)
            ):
                return ranked
            limit = min(MOST_ROWS, 4 * limit)

    def _ranked(
        self, hits: list[dict[str, Any]], vector: NDArray[np.float32], k: int, contract: str
    ) -> tuple[Candidate, ...]:
        wanted, best = vector.astype(np.float64), dict[str, tuple[float, int, int]]()
        for hit in hits:
            self._check_contract(str(hit["contract"]), contract)
            score = float(np.clip(np.asarray(hit["vector"], np.float64) @ wanted, -1.0, 1.0))
            known = best.get(hit["subject"])
            if known is None or (-score, int(hit["enrolled"])) < (-known[0], known[1]):
                best[str(hit["subject"])] = (score, int(hit["enrolled"]), int(hit["count"]))
        order = sorted(best.items(), key=lambda item: (-item[1][0], item[1][1]))
        return tuple(Candidate(name, score, pictures) for name, (score, _, pictures) in order[:k])
