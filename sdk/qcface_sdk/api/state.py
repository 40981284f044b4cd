"""What the API is given to work with; the service (or ``qcface serve``) fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.engine import FaceEngine
from qcface_sdk.gallery import Gallery


class EventReader(Protocol):
    """Where past events are read from."""

    def recent(self, limit: int, *, door: str | None = None, before: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Return the newest events as plain values, newest first; only those older than the id `before`."""
        ...


@dataclass(frozen=True, slots=True)
class LiveFace:
    """A face in the newest frame of a door."""

    bbox: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels of the frame."""
    track: int
    """Track id."""
    quality: float | None
    """0..100; ``None`` until embedded."""
    label: str
    """What is known so far: a subject, ``retry``, ``reject`` or nothing."""
    outcome: str | None
    """``accept``, ``retry``, ``reject`` or ``None`` while undecided."""


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """The newest frame a door has looked at."""

    image: NDArray[np.uint8]
    """BGR (H, W, 3)."""
    faces: tuple[LiveFace, ...]
    """Faces being tracked in it."""
    state: str
    """The door's state, such as ``idle`` or ``collecting``."""
    age_seconds: float
    """Since the frame was captured."""


class LiveDoor(Protocol):
    """A door that can be watched; watching never delays its decisions."""

    def live(self) -> LiveFrame | None:
        """Return the newest frame, ``None`` while there is none."""
        ...


class NoEvents:
    """Reads nothing: for an API without doors."""

    def recent(self, limit: int, *, door: str | None = None, before: str | None = None) -> Sequence[Mapping[str, Any]]:
        """Return no event."""
        return ()


def _always_well() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class ApiState:
    """Everything a request may touch."""

    engine: FaceEngine
    """Finds, embeds and judges faces."""
    gallery: Gallery
    """Who is enrolled."""
    events: EventReader = field(default_factory=NoEvents)
    """Past events."""
    doors: Mapping[str, LiveDoor] = field(default_factory=dict)
    """Doors by name."""
    problems: Callable[[], Mapping[str, Any]] = _always_well
    """What is wrong at the moment, by part; empty when all is well."""
