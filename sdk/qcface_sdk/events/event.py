"""One event of one door, as it is stored, sent and shown.

The values are plain: text, numbers, true or false; no picture and no embedding. The JSON form is `DoorEvent.to_dict`,
its schema `qcface_sdk.events.schema`. The schema number rises whenever a key is added, removed or changes its meaning.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import EventFormatError
from qcface_sdk.events.event_id import new_event_id
from qcface_sdk.results import Outcome

SCHEMA = 1
"""Number of the event schema that this version writes and reads."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""Names of doors and cameras become MQTT topics, labels of metrics and file names; so they are plain."""
WORD = r"[a-z][a-z0-9_]{0,63}"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
MAX_TEXT = 1024
"""Longest text of an event, in characters."""


class EventKind(str, Enum):
    """What happened."""

    DECISION = "decision"
    """A person was decided on: `DoorEvent.outcome` says accept, retry or reject."""
    TAMPER = "tamper"
    """The camera is covered, blinded, frozen or turned away."""
    TAILGATING = "tailgating"
    """More people passed than were accepted."""
    CAMERA_LOST = "camera_lost"
    """No pictures arrive."""
    CAMERA_BACK = "camera_back"
    """Pictures arrive again."""
    OPENED = "opened"
    """An open command was handed over in time."""
    NOT_OPENED = "not_opened"
    """An open command expired or failed; the door stayed shut in spite of an accept."""
    STARTED = "started"
    """The door began to work."""
    STOPPED = "stopped"
    """The door stopped in good order."""
    RELOADED = "reloaded"
    """Configuration, gallery or thresholds were read again."""
    FAULT = "fault"
    """Something failed; the door does not open while it lasts."""
    RECOVERED = "recovered"
    """A fault is over."""


class Liveness(str, Enum):
    """Whether anything looked for a photograph, screen or mask held up to the camera."""

    NOT_CHECKED = "not_checked"
    """Nothing looked: a printed photograph is a face."""
    LIVE = "live"
    """Looked, and found a living face."""
    SPOOF = "spoof"
    """Looked, and found a presentation attack."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorEvent:
    """One event. Immutable; make one with `DoorEvent.new`.

    Raises
    ------
    EventFormatError
        If a value is of another type, out of range, or contradicts another one.

    Examples
    --------
    >>> event = DoorEvent.new(EventKind.CAMERA_LOST, "front", "front-cam", message="no picture for 5 s")
    >>> DoorEvent.from_dict(event.to_dict()) == event
    True
    """

    id: str
    """UUID of version 7. The same event keeps it however often it is sent; ids of one process sort by time."""
    kind: EventKind
    """What happened."""
    door: str
    """Name of the door: a letter or digit, then letters, digits, ``_`` and ``-``; at most 64."""
    camera: str
    """Name of the camera, of the same form."""
    time: datetime
    """UTC, of the wall clock, to the microsecond; may jump when the clock is set."""
    monotonic: float
    """`qcface_sdk.clock.steady_seconds` at the same moment; orders events within one boot."""
    schema: int = SCHEMA
    """1."""
    outcome: Outcome | None = None
    """Accept, retry or reject; of a decision, and of nothing else."""
    reasons: tuple[str, ...] = ()
    """Why it is not a plain accept: lower-case words, such as ``below_threshold`` or ``outside_schedule``."""
    advice: str | None = None
    """What the person can do, such as "come closer"."""
    subject: str | None = None
    """Id of the person; of an accept always, otherwise only where the nearest enrolled person matters."""
    similarity: float | None = None
    """Cosine, -1..1."""
    threshold: float | None = None
    """Smallest similarity that is accepted."""
    fmr: float | None = None
    """False-match rate of the threshold, between 0 and 1."""
    quality: float | None = None
    """0..100."""
    quality_reasons: tuple[str, ...] = ()
    """What is wrong with the picture: lower-case words, such as ``too_small`` or ``blurred``."""
    track: int | None = None
    """Number of the track; one person passing is one track."""
    liveness: Liveness = Liveness.NOT_CHECKED
    """Whether a presentation attack was looked for."""
    bbox: tuple[float, float, float, float] | None = None
    """x1, y1, x2, y2 in pixels of the camera's picture."""
    snapshot: str | None = None
    """Path of a saved picture, where saving is configured."""
    contract: str | None = None
    """Embedding contract id of the comparison."""
    message: str | None = None
    """A sentence for the person who looks after the door."""

    def __post_init__(self) -> None:
        """Refuse an event that is malformed, or that says two things."""
        _check_fields(self)
        decision = self.kind is EventKind.DECISION
        _require(decision == (self.outcome is not None), "a decision, and nothing else, has an outcome", self.outcome)
        if self.outcome is Outcome.ACCEPT:
            _require(self.subject is not None, "an accept names its subject", self.subject)
            _require(self.liveness is not Liveness.SPOOF, "a presentation attack is never accepted", self.liveness)

    @classmethod
    def new(cls, kind: EventKind, door: str, camera: str, **values: Any) -> DoorEvent:
        """Return an event of this moment, with a new id.

        Parameters
        ----------
        kind : EventKind
            What happened.
        door, camera : str
            Their names.
        **values
            The other fields by name; an array or list is taken for a tuple.
        """
        values.setdefault("time", datetime.now(timezone.utc))
        values.setdefault("monotonic", steady_seconds())
        if (bbox := values.get("bbox")) is not None:
            values["bbox"] = tuple(round(float(value), 2) for value in bbox)
        for name in ("reasons", "quality_reasons"):
            values[name] = tuple(values.get(name) or ())
        return cls(id=new_event_id(), kind=kind, door=door, camera=camera, **values)

    @property
    def accepted(self) -> bool:
        """Whether this is a decision to let somebody in."""
        return self.outcome is Outcome.ACCEPT

    def to_dict(self) -> dict[str, Any]:
        """Return plain values ready for JSON; every key is always there."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DoorEvent:
        """Return the event that `to_dict` gave.

        Raises
        ------
        EventFormatError
            If it is of another schema, has an unknown or missing key, or a value that is not as it must be.
        """
        if values.get("schema") != SCHEMA:
            raise EventFormatError(f"event schema must be {SCHEMA}, got {values.get('schema')!r}; upgrade qcface-sdk")
        names = {field.name for field in dataclasses.fields(cls)}
        if names != values.keys():
            odd = sorted(names ^ values.keys())
            raise EventFormatError(f"an event of schema {SCHEMA} has exactly its keys, unknown or missing: {odd}")
        return cls(**{name: _READ.get(name, _same)(value) for name, value in values.items()})


def _same(value: Any) -> Any:
    return value


def _enum_of(name: str, kind: type[Enum]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in kind)
            raise EventFormatError(f"{name} must be one of {known}, got {value!r}") from None

    return read


def _time_of(value: Any) -> datetime:
    if not isinstance(value, str) or re.fullmatch(TIME, value) is None:
        raise EventFormatError(f"time must be YYYY-MM-DDTHH:MM:SS.ffffffZ, got {value!r}")
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise EventFormatError(f"time must be a time of the calendar, got {value!r}") from error


def _tuple_of(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_READ: dict[str, Callable[[Any], Any]] = {
    "kind": _enum_of("kind", EventKind),
    "outcome": _enum_of("outcome", Outcome),
    "liveness": _enum_of("liveness", Liveness),
    "time": _time_of,
    "reasons": _tuple_of,
    "quality_reasons": _tuple_of,
    "bbox": _tuple_of,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        # Not strftime: it does not pad the year.
        return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return list(value) if isinstance(value, tuple) else value


def _require(condition: bool, rule: str, value: object) -> None:
    if not condition:
        raise EventFormatError(f"{rule}, got {value!r}")


def _check_fields(event: DoorEvent) -> None:
    _require(event.schema == SCHEMA and type(event.schema) is int, f"schema must be {SCHEMA}", event.schema)
    for name, kind in (("kind", EventKind), ("liveness", Liveness)):
        value = getattr(event, name)
        _require(isinstance(value, kind), f"{name} must be a {kind.__name__}", value)
    _require(event.outcome is None or isinstance(event.outcome, Outcome), "outcome must be an Outcome", event.outcome)
    _require(_matches(UUID, event.id), "id must be a UUID in lower case; use DoorEvent.new", event.id)
    for name in ("door", "camera"):
        value = getattr(event, name)
        _require(_matches(NAME, value), f"{name} must be 1 to 64 letters, digits, _ and -, no sign first", value)
    utc = isinstance(event.time, datetime) and event.time.utcoffset() == timedelta(0)
    _require(utc, "time must be a datetime in UTC", event.time)
    for name in ("reasons", "quality_reasons"):
        value = getattr(event, name)
        words = isinstance(value, tuple) and all(_matches(WORD, word) for word in value)
        _require(words, f"{name} must be a tuple of lower-case words", value)
    for name in ("advice", "subject", "snapshot", "contract", "message"):
        value = getattr(event, name)
        text = value is None or (isinstance(value, str) and 0 < len(value) <= MAX_TEXT)
        _require(text, f"{name} must be text of 1 to {MAX_TEXT} characters", value)
    track = event.track
    _require(track is None or (type(track) is int and track >= 0), "track must be a whole number from 0", track)
    _check_numbers(event)


def _check_numbers(event: DoorEvent) -> None:
    _require(_in_range(event.monotonic, 0, math.inf), "monotonic must be a finite number from 0", event.monotonic)
    ranges = {"similarity": (-1.0, 1.0), "threshold": (-1.0, 1.0), "fmr": (0.0, 1.0), "quality": (0.0, 100.0)}
    for name, (low, high) in ranges.items():
        value = getattr(event, name)
        _require(value is None or _in_range(value, low, high), f"{name} must be a number in {low:g}..{high:g}", value)
    box = event.bbox
    four = isinstance(box, tuple) and len(box) == 4 and all(_in_range(v, -math.inf, math.inf) for v in box)
    _require(box is None or four, "bbox must be four finite numbers", box)


def _matches(pattern: str, value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _in_range(value: object, low: float, high: float) -> bool:
    # A NumPy float64 is a float; a float32 is not, and would not go into JSON.
    return type(value) is not bool and isinstance(value, (int, float)) and math.isfinite(value) and low <= value <= high
