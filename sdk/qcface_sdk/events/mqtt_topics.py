"""Topics of events on an MQTT broker."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qcface_sdk.errors import OptionError


@dataclass(frozen=True, slots=True)
class Topics:
    """Names the topics under one prefix.

    Raises
    ------
    OptionError
        If the prefix is not of letters, digits, ``_``, ``-`` and ``/``.
    """

    prefix: str = "qcface"
    """First part of every topic."""

    def __post_init__(self) -> None:
        """Refuse wildcards and empty levels."""
        if re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", self.prefix) is None:
            raise OptionError(f"a topic prefix has letters, digits, _, - and single slashes, got {self.prefix!r}")

    @property
    def available(self) -> str:
        """``online`` or ``offline``, retained; the last will."""
        return f"{self.prefix}/available"

    @property
    def events(self) -> str:
        """Every event of every door, as JSON."""
        return f"{self.prefix}/events"

    @property
    def tracked_object_update(self) -> str:
        """Recognised persons, in the words of Frigate's topic of this name."""
        return f"{self.prefix}/tracked_object_update"

    def of_kind(self, door: str, kind: str) -> str:
        """Events of one door and kind, as JSON."""
        return f"{self.prefix}/{door}/{kind}"

    def problem(self, door: str) -> str:
        """``ON`` or ``OFF``, retained: whether the door cannot work."""
        return f"{self.prefix}/{door}/problem"

    def open(self, door: str) -> str:
        """Open commands to the door's controller."""
        return f"{self.prefix}/{door}/open"
