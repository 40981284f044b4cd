"""What a door sees at this moment, for whoever looks on: a console, a window, a test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.camera.case import Case
from qcface_sdk.camera.frame import Frame
from qcface_sdk.drawing import annotate
from qcface_sdk.results import Face, Outcome


@dataclass(frozen=True, slots=True, eq=False)
class TrackView:
    """One person in view."""

    track: int
    """Number of the track."""
    face: Face
    """Box and landmarks; no embedding."""
    state: str
    """See `CaseState`."""
    outcome: Outcome | None
    """What was last decided."""
    subject: str | None
    """Whom it was accepted as."""
    quality: float | None
    """0..100 of the fused pictures; ``None`` before the first."""
    problem: str | None
    """What is wrong with most pictures so far."""

    @property
    def label(self) -> str:
        """One line to write beside the box."""
        if self.subject is not None:
            return self.subject
        return self.outcome.value if self.outcome is not None else self.problem or self.state


@dataclass(frozen=True, slots=True, eq=False)
class DoorView:
    """The newest picture and who is on it. Immutable: looking costs the door nothing, drawing is the looker's work."""

    door: str
    """Name of the door."""
    frame: Frame
    """The picture; do not write into its array."""
    tracks: tuple[TrackView, ...]
    """People on it."""
    state: str
    """State of the door."""

    def draw(self) -> NDArray[np.uint8]:
        """Return a copy of the picture with boxes and decisions."""
        return annotate(
            self.frame.image,
            [track.face for track in self.tracks],
            labels=[track.label for track in self.tracks],
            outcomes=[track.outcome for track in self.tracks],
        )


def view_of(case: Case) -> TrackView:
    """Return what may be shown of a case."""
    return TrackView(
        case.track.id,
        case.face,
        case.state.value,
        case.outcome,
        case.subject,
        float(case.fusion.quality) if case.fusion.count else None,
        case.main_problem,
    )
