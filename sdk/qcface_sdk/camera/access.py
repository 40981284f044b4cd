"""Who may come in when: the hook that a door asks after it has recognised somebody."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from typing import Protocol

from qcface_sdk.errors import OptionError


class AccessRule(Protocol):
    """Says whether a person may come in. What it raises keeps the door shut. Thread-safe."""

    def permits(self, subject: str, door: str, when: datetime) -> str | None:
        """Return ``None`` to permit, else the reason as a lower-case word, such as ``"outside_schedule"``.

        Parameters
        ----------
        subject : str
            Who was recognised.
        door : str
            Name of the door.
        when : datetime
            UTC, of the wall clock.
        """


@dataclass(frozen=True, slots=True)
class AllowList:
    """Lets some subjects in and nobody else."""

    subjects: Collection[str]
    """Their ids."""

    def permits(self, subject: str, door: str, when: datetime) -> str | None:
        """Return ``None`` or ``"not_on_list"``."""
        return None if subject in self.subjects else "not_on_list"


@dataclass(frozen=True, slots=True)
class WeeklySchedule:
    """Opens at certain hours of certain days, in local time.

    Examples
    --------
    >>> from datetime import timezone
    >>> office = WeeklySchedule({day: (time(7), time(19)) for day in range(5)}, timezone.utc)
    >>> monday = datetime(2026, 3, 2, 8, tzinfo=timezone.utc)
    >>> office.permits("ada", "front", monday), office.permits("ada", "front", monday.replace(hour=20))
    (None, 'outside_schedule')
    """

    hours: Mapping[int, tuple[time, time]]
    """Weekday (0 is Monday) to the hours from (inclusive) and to (exclusive); a day that is missing is closed."""
    zone: tzinfo
    """Such as ``zoneinfo.ZoneInfo("Europe/Berlin")``."""

    def __post_init__(self) -> None:
        """Refuse days and hours that there are none of."""
        for day, (begin, end) in self.hours.items():
            if day not in range(7) or not begin < end:
                raise OptionError(
                    f"a schedule has days 0 (Monday) to 6 with hours from before to, got day {day}, {begin} to {end}; "
                    "split hours over midnight into two days"
                )

    def permits(self, subject: str, door: str, when: datetime) -> str | None:
        """Return ``None`` or ``"outside_schedule"``."""
        local = when.astimezone(self.zone)
        begin, end = self.hours.get(local.weekday(), (time.max, time.max))
        return None if begin <= local.time() < end else "outside_schedule"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Lets in whom every rule permits; the first reason against is the answer."""

    rules: tuple[AccessRule, ...]

    def permits(self, subject: str, door: str, when: datetime) -> str | None:
        """Return ``None`` or the first reason."""
        for rule in self.rules:
            if (reason := rule.permits(subject, door, when)) is not None:
                return reason
        return None
