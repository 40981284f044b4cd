"""What is known of one person in view, and how far the decision on them is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from qcface_sdk.camera.tracker import Track
from qcface_sdk.events import Liveness
from qcface_sdk.fusion import Fusion
from qcface_sdk.results import Face, Outcome


class CaseState(str, Enum):
    """How far the decision on one person is."""

    SEEN = "seen"
    """In view, not yet for long enough to be more than a flicker of the detector, or not asking to come in."""
    COLLECTING = "collecting"
    """Pictures are looked at and embedded."""
    ACCEPTED = "accepted"
    """Let in; nothing more is asked."""
    COOLING = "cooling"
    """Rejected; judged again after a while."""
    CLOSED = "closed"
    """Rejected for good, or a presentation attack."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision on one person, before it is an event."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    advice: str | None = None
    subject: str | None = None
    similarity: float | None = None
    threshold: float | None = None
    fmr: float | None = None
    quality: float | None = None
    quality_reasons: tuple[str, ...] = ()
    liveness: Liveness = Liveness.NOT_CHECKED


@dataclass(slots=True, eq=False)
class Case:
    """One person. Belongs to its door, whose thread alone touches it."""

    track: Track
    fusion: Fusion
    began: float
    """Seconds: when collecting began."""
    state: CaseState = CaseState.SEEN
    embedded: int = 0
    """Pictures embedded for the present attempt."""
    best_score: float = 0.0
    last_embedding: float = -1e9
    last_picture: float = 0.0
    """Seconds of the last picture this person was looked at in."""
    streak: tuple[str | None, int] = (None, 0)
    """Who the last searches named, and how often in a row."""
    strangers: int = 0
    """Embeddings in a row that fit nobody whom this track has shown."""
    problems: Counter[str] = field(default_factory=Counter)
    """What was wrong with pictures, and in how many."""
    live_scores: list[float] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """Main reasons of retries already said."""
    said_anything: bool = False
    """Whether any decision on this track was told."""
    asked: bool = False
    """Whether this person was ever in the zone and, where that is asked for, approaching."""
    grey: bool = False
    cooled: float = 0.0
    """Seconds: when it may be judged again."""
    failed: int = 0
    """Attempts that ended with a reject, or in the grey zone."""
    outcome: Outcome | None = None
    """The last that was told."""
    subject: str | None = None
    """Whom it was accepted as."""
    similarity: float | None = None
    """Of the last search's best candidate."""

    def restart(self, fusion: Fusion, time: float) -> None:
        """Forget all evidence: after a fault, for a new attempt, or when somebody else stands there."""
        self.fusion, self.began, self.embedded, self.best_score = fusion, time, 0, 0.0
        self.streak, self.strangers, self.similarity = (None, 0), 0, None
        self.live_scores.clear()
        self.problems.clear()

    def name(self, subject: str | None) -> int:
        """Note whom a search named; return how often in a row it was the same person."""
        before, times = self.streak
        self.streak = (subject, times + 1 if subject is not None and subject == before else int(subject is not None))
        return self.streak[1]

    @property
    def face(self) -> Face:
        """As last seen."""
        return self.track.face

    @property
    def main_problem(self) -> str | None:
        """What was wrong with most pictures."""
        return self.problems.most_common(1)[0][0] if self.problems else None
