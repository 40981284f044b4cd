"""What there is to say about a whole gallery to the person who answers for it: who, how well, until when, which keys.

Nothing in it is biometric: ids, times, counts, qualities and similarities, no vector and no picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from qcface_sdk.gallery.records import Statistics

SOON_DAYS = 30
"""An end within so many days is said ahead."""

_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Enrolled:
    """One person, without anything biometric."""

    subject: str
    templates: int
    best: float | None
    """Highest quality among the templates, 0..100; ``None`` where none is known."""
    worst: float | None
    crops: int
    """Kept pictures."""
    created: float
    """Unix seconds of the first enrolment."""
    consent: str | None
    expires: float | None
    origin: str


@dataclass(frozen=True, slots=True)
class Double:
    """Two ids that look like one person."""

    first: str
    second: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Doubles:
    """Outcome of comparing everybody with everybody."""

    found: tuple[Double, ...]
    """Most similar first."""

    threshold: float
    """Of single pictures; more was asked of fused ones."""

    fmr: float
    """False-match rate of one comparison at that threshold."""

    pairs: int
    """Comparisons of templates of two people."""

    @property
    def by_chance(self) -> float:
        """Comparisons expected above the threshold although nobody is enrolled twice."""
        return self.fmr * self.pairs


@dataclass(frozen=True, slots=True)
class KeyState:
    """Where the keys are, and when the last copies were made, as far as the audit log knows."""

    master: str
    """Where the master key comes from; never the key."""

    beside_the_data: bool
    """Whether the master key lies in the folder of the gallery: a stolen folder then opens."""

    keys: int
    """Wrapped keys, one per person."""

    waiting: int
    """Keys of removed people that could not be overwritten yet."""

    last_backup: float | None
    """Unix seconds."""

    last_copy: float | None
    """Unix seconds of the last copy of the wrapped keys."""

    not_backed_up: int
    """People enrolled since the last backup; 0 where there is none."""

    not_copied: int
    """People enrolled since the last copy of the wrapped keys, without whose keys no backup helps; 0 without a copy."""

    removed_since: int
    """People removed since that copy, whose keys it still holds; 0 where there is no copy."""

    rotated_since: bool
    """Whether the master key was changed since that copy, which opens with the old one only."""


@dataclass(frozen=True, slots=True)
class Review:
    """What `qcface_sdk.gallery.review` found."""

    path: str
    at: float
    """Unix seconds."""

    statistics: Statistics
    unsealed: int
    """Templates that were read and found whole; every page and index of the file was checked too."""

    people: tuple[Enrolled, ...]
    """Everybody, sorted by id."""

    qualities: tuple[float | None, ...]
    """Of every template."""

    enroll_below: float | None
    """Quality of the enrolment gate; ``None`` without an engine."""

    doubles: Doubles | None
    """``None`` where they were not looked for."""

    keys: KeyState

    @property
    def below_gate(self) -> tuple[Enrolled, ...]:
        """People none of whose templates is known to pass the enrolment gate, the least recognizable first."""
        gate = self.enroll_below
        if gate is None:
            return ()
        poor = [one for one in self.people if one.best is None or one.best < gate]
        return tuple(sorted(poor, key=lambda one: -1.0 if one.best is None else one.best))

    def ending(self, days: float = SOON_DAYS) -> tuple[Enrolled, ...]:
        """Return the people whose time is over or ends within so many days, the first to go first."""
        limit = self.at + days * _DAY
        due = [(one.expires, one) for one in self.people if one.expires is not None and one.expires <= limit]
        return tuple(one for _, one in sorted(due, key=lambda item: item[0]))

    @property
    def attention(self) -> tuple[str, ...]:
        """What somebody should look at, in sentences that say what to do."""
        return (*_about_people(self), *_about_keys(self))

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        doubles = None if self.doubles is None else {**asdict(self.doubles), "by_chance": self.doubles.by_chance}
        return {
            "path": self.path,
            "at": self.at,
            "attention": list(self.attention),
            **self.statistics.to_dict(),
            "unsealed": self.unsealed,
            "enroll_below": self.enroll_below,
            "below_gate": [one.subject for one in self.below_gate],
            "doubles": doubles,
            "keys": asdict(self.keys),
            "people": [asdict(one) for one in self.people],
        }


def _about_people(found: Review) -> Iterator[str]:
    over = len(found.ending(0))
    soon = len(found.ending()) - over
    if over:
        yield f"Time is over: {_people(over)}. Remove them (qcface gallery expire)."
    if soon:
        yield f"Time ends within {SOON_DAYS} days: {_people(soon)}. Renew it (qcface gallery terms), or let it end."
    if endless := sum(one.expires is None for one in found.people):
        yield f"Without an end: {_people(endless)}. Note one (qcface gallery terms --expires)."
    if silent := sum(one.consent is None for one in found.people):
        yield f"Without a note of consent: {_people(silent)}. Note it (qcface gallery terms --consent)."
    if poor := len(found.below_gate):
        yield (
            f"No picture known to pass the enrolment gate (quality {found.enroll_below:g}): {_people(poor)}. Expect "
            "refusals at the door; take better pictures."
        )
    doubles = found.doubles
    if doubles is not None and doubles.found:
        yield (
            f"Likely one person under two ids: {len(doubles.found):,}; chance alone would give about "
            f"{doubles.by_chance:.2g}. Compare the people, and keep one id for each."
        )


def _about_keys(found: Review) -> Iterator[str]:
    keys = found.keys
    if keys.beside_the_data:
        yield (
            "The master key lies beside the gallery: whoever carries this folder off can read it. Where that can "
            "happen, keep it elsewhere (qcface gallery rotate-key --new-key)."
        )
    if keys.waiting:
        yield f"Keys of removed people still to be overwritten: {keys.waiting:,}. Open the gallery once to write."
    if keys.last_backup is None:
        yield "No backup is noted. Make one (qcface gallery backup)."
    elif keys.not_backed_up:
        yield f"Enrolled since the last backup: {_people(keys.not_backed_up)}. Make one (qcface gallery backup)."
    if keys.last_copy is None:
        yield (
            "No copy of the wrapped keys is noted, and without one a lost disk loses everybody. Make one (qcface "
            "gallery backup --keys)."
        )
        return
    renew = "Renew the copy (qcface gallery backup --keys)."
    if keys.not_copied:
        yield f"Not in the copy of the wrapped keys, so lost with the disk: {_people(keys.not_copied)}. {renew}"
    if keys.removed_since:
        yield (f"Removed, and still readable with the copy of the wrapped keys: {_people(keys.removed_since)}. {renew}")
    if keys.rotated_since:
        yield f"The copy of the wrapped keys opens with an earlier master key only. {renew}"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
