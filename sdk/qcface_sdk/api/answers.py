"""Shapes of the API's answers, for the OpenAPI document; the values are the SDK's own `to_dict()`."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    """Fields that a later version adds are passed on rather than dropped."""

    model_config = ConfigDict(extra="allow")


class ProblemAnswer(_Answer):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class FaceAnswer(_Answer):
    """A face; box and points in pixels of the uploaded picture."""

    bbox: list[float]
    kps: list[list[float]]
    det_score: float
    quality: float | None
    magnitude: float | None
    recognizability: float | None
    enough_to_enroll: bool
    enough_to_identify: bool
    reasons: list[str]
    advice: list[str]


class FacesAnswer(_Answer):
    """Faces of a picture, largest first."""

    width: int
    height: int
    faces: list[FaceAnswer]


class MatchAnswer(_Answer):
    """A 1:1 comparison."""

    similarity: float
    threshold: float
    fmr: float
    decision: str
    reason: list[str]


class CandidateAnswer(_Answer):
    """One enrolled subject and its similarity to the probe."""

    subject: str
    similarity: float


class IdentificationAnswer(_Answer):
    """A 1:N search for the largest face."""

    subject: str | None
    decision: str
    reason: list[str]
    threshold: float
    candidates: list[CandidateAnswer]
    face: FaceAnswer | None


class EnrolmentAnswer(_Answer):
    """Receipt: the templates are on disk."""

    subject: str
    templates: int
    warnings: list[str]


class SubjectAnswer(_Answer):
    """What is known of a subject, without biometrics."""

    subject: str
    templates: int


class SubjectsAnswer(_Answer):
    """Ids in code point order; `next` is the last one if there may be more."""

    subjects: list[str]
    total: int
    next: str | None


class RemovalAnswer(_Answer):
    """Receipt of a deletion."""

    subject: str
    templates: int
    receipt: dict[str, Any]


class EventsAnswer(_Answer):
    """Events, newest first."""

    events: list[dict[str, Any]]


class LiveFaceAnswer(_Answer):
    """A face being tracked."""

    bbox: list[float]
    track: int
    quality: float | None
    label: str
    outcome: str | None


class LiveAnswer(_Answer):
    """The newest state of a door; the picture is at ``/frame.jpg``."""

    door: str
    running: bool
    state: str | None
    age_seconds: float | None
    width: int | None
    height: int | None
    faces: list[LiveFaceAnswer]


class DoorsAnswer(_Answer):
    """Doors that this service runs."""

    doors: list[str]


class ThresholdAnswer(_Answer):
    """A threshold and the measurement behind it."""

    fmr: float
    threshold: float
    interval: list[float]
    fnmr: float
    impostors: int
    genuines: int
    supported: bool
    origin: str


class AboutAnswer(_Answer):
    """Model, runtime and thresholds."""

    version: str
    model: str
    model_version: str
    contract: str
    backend: str
    precision: str
    retry_below: float
    enroll_below: float
    license: str
    thresholds: list[ThresholdAnswer]
    role: str
    subjects: int


class HealthAnswer(_Answer):
    """``ok`` or ``degraded``; what is wrong is told to those with a key alone."""

    status: str
