"""A command to open a door, which is worthless two seconds after the decision."""

from __future__ import annotations

from dataclasses import dataclass

from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import CommandExpiredError, OptionError
from qcface_sdk.events.event import DoorEvent
from qcface_sdk.events.event_id import new_event_id

MAX_SECONDS = 2.0
"""Longest life of a command. A person walks away in more, and somebody else stands there."""


@dataclass(frozen=True, slots=True)
class OpenCommand:
    """Opens one door once, for one decision. Immutable.

    Raises
    ------
    OptionError
        If its life is not above 0 and at most `MAX_SECONDS`.
    """

    id: str
    """Of this command, for telling repetitions apart."""
    door: str
    """Name of the door."""
    event_id: str
    """`DoorEvent.id` of the accept that it comes from."""
    subject: str
    """Who was accepted."""
    issued: float
    """When the decision fell, in `qcface_sdk.clock.steady_seconds`."""
    expires: float
    """When it becomes worthless, on the same clock."""

    def __post_init__(self) -> None:
        """Refuse a command that would live too long."""
        if not 0 < self.expires - self.issued <= MAX_SECONDS + 1e-6:
            life = self.expires - self.issued
            raise OptionError(f"an open command lives for more than 0 and at most {MAX_SECONDS:g} s, got {life:g} s")

    @classmethod
    def of(cls, event: DoorEvent, seconds: float = MAX_SECONDS) -> OpenCommand:
        """Return the command for an accept; its time runs from the event's, so that every delay since then counts.

        Parameters
        ----------
        event : DoorEvent
            A decision whose outcome is accept.
        seconds : float
            Its life, above 0 and at most `MAX_SECONDS`.

        Raises
        ------
        OptionError
            If the event is no accept, or `seconds` out of range.
        """
        if not event.accepted or event.subject is None:
            outcome = event.outcome.value if event.outcome else None
            raise OptionError(f"only an accept opens a door, got {event.kind.value} with outcome {outcome}")
        issued = event.monotonic
        return cls(new_event_id(), event.door, event.id, event.subject, issued, issued + seconds)

    def remaining(self, now: float | None = None) -> float:
        """Return the seconds left, never more than the command's whole life, below 0 when it is too late."""
        now = steady_seconds() if now is None else now
        # A clock that reads earlier than the decision is another boot's or another machine's: trust nothing.
        return self.expires - now if now >= self.issued else -1.0

    def check(self, now: float | None = None) -> float:
        """Return the seconds left.

        Raises
        ------
        CommandExpiredError
            If there are none.
        """
        left = self.remaining(now)
        if left <= 0:
            raise CommandExpiredError(
                f"the command to open {self.door} for event {self.event_id} expired {-left:.3f} s ago; "
                "it is dropped, the person must be seen again"
            )
        return left
