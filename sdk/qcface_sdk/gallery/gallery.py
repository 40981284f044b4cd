"""`Gallery`: enrolled people, searched for the person on a probe; in one file, or in a vector server."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive, check_positive_int
from qcface_sdk.errors import EnrolmentRefusedError, OptionError, ThresholdUnavailableError
from qcface_sdk.gallery.address import SCHEME
from qcface_sdk.gallery.judgement import (
    Admission,
    EnrolmentIssue,
    Judge,
    Limit,
    Subject,
    check_gate,
    identification,
    limit_of,
    refusal,
    subject_of,
    unfit,
    vector_of,
)
from qcface_sdk.gallery.records import Enrolment, Removal
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.gallery.terms import check_consent, check_expires, check_kept_crops
from qcface_sdk.results import Candidate, Face, Identification
from qcface_sdk.template import Template

_Self = TypeVar("_Self", bound="Gallery")

_DUPLICATE_RATES = (1e-5, 1e-4, 1e-3)
"""A person is likely enrolled twice at the strictest of these that the model's measurements support."""


class Gallery(ABC):
    """Enrolled people and the search for one of them; made by `Gallery.open`.

    Every method is thread-safe, and several processes may use one gallery at once: a search sees all that was enrolled
    and removed, by anyone, before it began. An error means that nothing was changed, and never lets anyone in.

    Examples
    --------
    >>> with Gallery.open("people.qcgallery") as gallery:
    ...     enrolled = gallery.enroll("ada", template)
    ...     gallery.identify(probe, threshold=0.4).subject
    'ada'
    """

    def __init__(self, judge: Judge | None) -> None:
        self._judge = judge

    @staticmethod
    def open(
        path: str | os.PathLike[str],
        contract: str | None = None,
        *,
        engine: Judge | None = None,
        key: Any = None,
        read_only: bool = False,
        timeout: float = 5.0,
        threads: int = 1,
        **server: Any,
    ) -> Gallery:
        """Open a gallery, and create it if there is none.

        Parameters
        ----------
        path : str or path
            File of an encrypted gallery (an `EmbeddedGallery`, which has more methods), or
            ``"milvus://host:19530/name"`` for a collection of a vector server (a `MilvusGallery`).
        contract : str or None
            Embedding contract the gallery must have, such as ``engine.contract``; a gallery without one takes it.
            ``None`` accepts any, and the first template enrolled sets it.
        engine : FaceEngine or None
            Brings the contract, the quality gates and the thresholds, so that `identify` takes ``fmr=`` or ``fpir=``
            and `enroll` looks for poor pictures and people enrolled twice.
        key : str, path, bytes, callable or None
            Master key of the file: a key file, ``"env:NAME"``, 32 bytes, or a function that returns them. ``None`` is
            the environment variable ``QCFACE_GALLERY_KEY`` if it is set, else the file ``PATH.key``, which is made
            (owner only, and said so in the log) together with a new gallery.
        read_only : bool
            Never write; the gallery must exist. Works on read-only media too.
        timeout : float
            Seconds to wait while another process writes, or for an answer of the server.
        threads : int
            Threads of one search; memory bandwidth is shared, so more than a few rarely help.
        **server
            Further options of `MilvusGallery.connect`: ``token``, ``tls``, ``retries``, ``index``, ``fallback``.

        Returns
        -------
        Gallery

        Raises
        ------
        GalleryFormatError
            If the file is something else (it is left untouched), damaged, or of another schema version.
        GalleryKeyError
            If the master key is missing or another one, or the file of wrapped keys is.
        ContractMismatchError
            If the gallery holds embeddings of another contract.
        GalleryStorageError
            If the file or its folder is missing, unreadable, read-only or locked too long, or the disk is full.
        GalleryUnreachableError
            If the server does not answer.
        OptionError
            If an option is out of range, or one of the other kind of gallery.
        """
        check_positive("timeout", timeout)
        check_positive_int("threads", threads)
        options = {"engine": engine, "read_only": read_only, "timeout": timeout}
        return _opened(path, contract, key, threads, options, server)

    @property
    @abstractmethod
    def path(self) -> str:
        """Absolute path of the file, or address of the collection."""

    @property
    @abstractmethod
    def contract(self) -> str | None:
        """Embedding contract id of everything enrolled; ``None`` until there is one. Thread-safe."""

    def enroll(
        self,
        subject: str,
        source: Face | Template | Sequence[Face],
        *,
        allow: EnrolmentIssue = EnrolmentIssue.NONE,
        force: bool = False,
        consent: str | None = None,
        expires: float | datetime | None = None,
        crops: Any = None,
    ) -> Enrolment:
        """Add one template to a subject, new or known. Thread-safe.

        Parameters
        ----------
        subject : str
            Id of the person, 1..256 characters of any language without control characters. It is stored in plain
            form: an opaque number says less than a name.
        source : Face, Template or sequence of Face
            A face from ``engine.get``; several pictures fused by ``engine.template``; or all faces of one picture as
            ``engine.get`` returns them, of which the largest is enrolled.
        allow : EnrolmentIssue
            Issues to enrol in spite of; the result says which there were.
        force : bool
            Allow all of them.
        consent : str or None
            What the person agreed to, at most 1000 characters, stored in plain form; ``None`` leaves it as it is.
        expires : float, datetime or None
            When the person is no longer to be recognised (unix seconds); ``None`` leaves it as it is.
        crops : ndarray of uint8, shape (N, 112, 112, 3), or None
            Aligned crops to keep, encrypted, for enrolling again under another model. ``None`` keeps no picture.

        Returns
        -------
        Enrolment
            Receipt: the template is on disk.

        Raises
        ------
        EnrolmentRefusedError
            If another face is about as large, the quality is below the enrolment gate, or the person looks like one
            enrolled under another id, and that is not allowed. The last two need a gallery opened with ``engine=``.
        OptionError
            If `subject` or another argument is not usable.
        InputError, NotFiniteError
            If `source` is none of these, has no embedding, or has one that is NaN, infinite or of zero length.
        ContractMismatchError
            If it was embedded under another contract than the gallery's.
        GalleryStorageError
            If the gallery is read-only, the disk is full, or another process writes for longer than the timeout.
        """
        name = check_subject(subject)
        until, agreed, kept = check_expires(expires), check_consent(consent), check_kept_crops(crops)
        new, similar = self._judged(name, source, EnrolmentIssue.ALL if force else allow)
        return self._store(Admission(name, new.template, new.quality, new.issues, similar, agreed, until, kept))

    def identify(
        self,
        probe: Face | Template | None,
        *,
        threshold: float | None = None,
        fmr: float | None = None,
        fpir: float | None = None,
        k: int = 5,
        retry_below: float | None = None,
        extrapolate: bool = False,
    ) -> Identification:
        """Search for the person on a probe (1:N). Thread-safe.

        Parameters
        ----------
        probe : Face, Template or None
            ``None`` stands for a picture without a face and is never accepted.
        threshold, fmr, fpir : float or None
            Exactly one of them. `fpir`: share of strangers that may be accepted in a search of this gallery; `fmr`:
            false-match rate of one comparison, of which a search makes as many as there are templates; `threshold`:
            smallest similarity that is accepted, -1..1. The rates need ``engine=``.
        k : int
            Most candidates in the result.
        retry_below : float or None
            Quality gate, 0..100, for probes that are faces: below it the decision is retry, whatever the similarity.
            ``None`` is the engine's gate, or none without an engine; 0 asks for a known quality only.
        extrapolate : bool
            Let `fpir` go beyond what was measured; the result says so.

        Returns
        -------
        Identification
            Best subjects first, each as similar as its most similar template. Accept if the first reaches the
            threshold; else reject, also if the gallery is empty; retry if the probe is missing, below the gate, or
            not finite, or if the similarity lies in the grey zone: below the threshold, but not below that of ten times
            the `fmr` or `fpir`. A bare `threshold` has no such zone. With the rates, more is asked where probe or
            candidate are templates of several pictures (`FaceEngine.stretch`).

        Raises
        ------
        ContractMismatchError
            If the probe was embedded under another contract than the gallery's.
        InputError
            If the probe is neither of these, or a face from ``engine.detect``.
        OptionError
            If an option is out of range, or not exactly one of the three is given.
        ThresholdUnavailableError
            If the model's measurements do not support the rate for a gallery of this size.
        GalleryError
            If the gallery is closed, damaged or cannot be read. No error ever lets anyone in.
        """
        return self.identify_batch(
            [probe],
            threshold=threshold,
            fmr=fmr,
            fpir=fpir,
            k=k,
            retry_below=retry_below,
            extrapolate=extrapolate,
        )[0]

    def identify_batch(
        self,
        probes: Iterable[Face | Template | None],
        *,
        threshold: float | None = None,
        fmr: float | None = None,
        fpir: float | None = None,
        k: int = 5,
        retry_below: float | None = None,
        extrapolate: bool = False,
    ) -> tuple[Identification, ...]:
        """Search for several probes in one scan, all against the same state of the gallery. Thread-safe.

        Parameters, results and errors are those of `identify`; one result per probe, in their order.
        """
        most, gate = check_positive_int("k", k), check_gate(retry_below, self._judge)
        size = self.size if fpir is not None else 0
        limit = limit_of(self._judge, size, threshold=threshold, fmr=fmr, fpir=fpir, extrapolate=extrapolate)
        asked, contract = list(probes), self.contract
        for probe in asked:
            self._check_probe(probe, contract)
        vectors = [vector_of(probe) for probe in asked]
        found = iter(self._nearest([vector for vector in vectors if vector is not None], most))
        return tuple(
            identification(probe, unfit(probe, vector, gate), None if vector is None else next(found), limit, contract)
            for probe, vector in zip(asked, vectors, strict=True)
        )

    @abstractmethod
    def remove(self, subject: str) -> Removal:
        """Remove a subject with all templates and kept pictures, and return the receipt. Thread-safe.

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        OptionError, GalleryStorageError
            As for `enroll`.
        """

    @abstractmethod
    def get(self, subject: str, *, expired: bool = False) -> tuple[Template, ...]:
        """Return the templates of a subject, oldest first. Thread-safe.

        After the person's time there are none unless `expired`: what is returned may be compared with a probe (1:1).

        Raises
        ------
        UnknownSubjectError
            If there is no such subject.
        """

    @abstractmethod
    def subjects(self) -> tuple[str, ...]:
        """Return the ids of all subjects, sorted by code point. Thread-safe."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of subjects."""

    @abstractmethod
    def close(self) -> None:
        """Close the gallery. Harmless when repeated; any other call afterwards raises `GalleryError`. Thread-safe."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of templates, which is the number of comparisons of a search. Thread-safe."""

    @abstractmethod
    def _check_probe(self, probe: Any, contract: str | None) -> None:
        """Raise `ContractMismatchError` if the probe is of another contract."""

    @abstractmethod
    def _nearest(self, vectors: list[NDArray[np.float32]], k: int) -> list[tuple[Candidate, ...]]:
        """Return the `k` most similar subjects for each unit vector, best first."""

    @abstractmethod
    def _store(self, admission: Admission) -> Enrolment:
        """Store one template for good."""

    def _judged(self, name: str, source: Any, allowed: EnrolmentIssue) -> tuple[Subject, str | None]:
        """Return what is to be enrolled with all that speaks against it, and who looks like the same person.

        Raises
        ------
        EnrolmentRefusedError
            If something speaks against it that is not allowed.
        """
        new, similar = subject_of(source, self._judge), None
        if self._judge is not None:
            similar = self._double_of(name, new.template)
        if similar is not None:
            new = replace(new, issues=new.issues | EnrolmentIssue.LIKELY_DUPLICATE)
        refused = new.issues & ~allowed
        if refused:
            raise EnrolmentRefusedError(refusal(name, refused, new.quality, similar, self._judge), refused)
        return new, similar

    def _double_of(self, name: str, template: Template) -> str | None:
        """Return another subject that is likely the same person."""
        self._check_probe(template, self.contract)
        limit = self._duplicate_limit()
        if limit is None:
            return None
        for other in self._nearest([template.vector], 2)[0]:
            if other.subject != name and other.similarity >= limit.between(template.count, other.pictures).threshold:
                return other.subject
        return None

    def _duplicate_limit(self) -> Limit | None:
        """Return from where on two people count as one, or ``None`` if nothing was measured."""
        for rate in _DUPLICATE_RATES if self._judge is not None else ():
            with suppress(ThresholdUnavailableError):
                return limit_of(self._judge, 0, fmr=rate)
        return None

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path})"


def _opened(
    path: str | os.PathLike[str],
    contract: str | None,
    key: Any,
    threads: int,
    options: Mapping[str, Any],
    server: Mapping[str, Any],
) -> Gallery:
    """Open the kind of gallery that `path` names; `options` are those of both kinds, `server` those of a server."""
    if isinstance(path, str) and path.startswith(SCHEME):
        from qcface_sdk.gallery.milvus import MilvusGallery

        if key is not None:
            raise OptionError("a vector server holds vectors in plain form and takes no key=; leave it out")
        return MilvusGallery.connect(path, contract, **options, **server)
    if server:
        raise OptionError(f"{', '.join(server)} belongs to {SCHEME} galleries, got the file {path}")
    from qcface_sdk.gallery.embedded import EmbeddedGallery

    return EmbeddedGallery.open_file(path, contract, key=key, threads=threads, **options)
