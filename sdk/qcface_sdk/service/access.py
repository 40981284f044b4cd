"""An access rule that the configuration needs on top of those of `qcface_sdk.camera`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qcface_sdk.camera import AccessRule


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Lets in whom at least one rule permits; the first one's reason is the answer otherwise."""

    rules: tuple[AccessRule, ...]
    """At least one."""

    def permits(self, subject: str, door: str, when: datetime) -> str | None:
        """Return ``None`` or the first reason."""
        reasons = [rule.permits(subject, door, when) for rule in self.rules]
        return None if None in reasons else reasons[0]
