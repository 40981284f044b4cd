"""What a gallery answers about the people in it: receipts, reports, the audit log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from qcface_sdk.gallery.judgement import EnrolmentIssue


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Receipt for one enrolled template: it is on disk."""

    subject: str
    """Id of the person."""

    template_id: int
    """Number of the template in this gallery, never used twice; 0 in a vector server, which has `uid` alone."""

    count: int
    """Templates the subject has now, this one included."""

    created: float
    """Time of the template in unix seconds."""

    quality: float | None = None
    """Quality of the picture, 0..100, as far as it is known."""

    issues: EnrolmentIssue = EnrolmentIssue.NONE
    """What spoke against enrolling it and was allowed."""

    similar_to: str | None = None
    """Id of the person it looks like, with `EnrolmentIssue.LIKELY_DUPLICATE`."""

    uid: str = field(default="", compare=False)
    """Random id of the template, the same in every gallery it is copied to."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {**asdict(self), "issues": list(self.issues.names())}


@dataclass(frozen=True, slots=True)
class Removal:
    """Receipt for one removed person: rows deleted, key overwritten, both on disk."""

    subject: str
    """Id of the person."""

    templates: int
    """Templates removed."""

    crops: int
    """Kept pictures removed."""

    at: float
    """Time in unix seconds, as in the audit log."""

    gallery: str
    """Id of the gallery, hexadecimal; name of the collection in a vector server."""

    key: str
    """First 16 hexadecimal digits of the SHA-256 of the shredded key's id; empty in a vector server."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the list of people."""

    subject: str
    templates: int
    created: float
    """Unix seconds of the first enrolment."""
    consent: str | None
    expires: float | None
    """Unix seconds; ``None`` is never."""
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SubjectReport:
    """All that is held about one person: what a data subject may ask for."""

    subject: str
    created: float
    """Unix seconds of the first enrolment."""

    consent: str | None
    """What the person agreed to, in the operator's words."""

    consented: float | None
    """Unix seconds at which that was noted."""

    expires: float | None
    """Unix seconds after which the person is not recognised any more; ``None`` is never."""

    origin: str
    """``local``, or ``central`` if it came by synchronisation."""

    templates: tuple[dict[str, Any], ...]
    """Per template: uid, created, pictures fused, magnitude, quality, kept crops; the vector only on request."""

    audit: tuple[dict[str, Any], ...]
    """What was done with this person's data and when."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log. It never holds biometric data."""

    number: int
    at: float
    """Unix seconds; never before the line above, whatever the clock did."""

    action: str
    subject: str | None
    detail: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one gallery."""

    subjects: int
    templates: int
    crops: int
    expired: int
    """People whose time is over and who are not removed yet; they are not recognised."""

    contract: str | None
    dimension: int | None
    gallery: str
    """Id of the gallery, hexadecimal."""

    created: float
    file_bytes: int
    """Size of the database and its log."""

    keyring_bytes: int
    search_bytes: int
    """Memory of the codes that a search scans."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return asdict(self)
