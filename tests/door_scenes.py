"""A world for doors: people with known faces who walk through drawn pictures, and an engine that knows them by number.

The tracker, the choice of frames, the fusion, the state machine and the events are the real ones; only the networks and
the gallery are made up, so that a test says who is there and what fails.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np

from qcface_sdk.camera import CaptureState, CaptureStatus, Door, DoorRules, Frame
from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import UnknownSubjectError
from qcface_sdk.events import DoorEvent
from qcface_sdk.fusion import Fusion
from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_sdk.quality import QualityScale
from qcface_sdk.results import Candidate, Face, Identification, Outcome, Reason
from qcface_sdk.template import Template

CONTRACT = "qc1-scene"
SIZE_WH = (640, 360)
DIMENSION = 64


@dataclass(frozen=True)
class Person:
    """Where somebody is at which time: from `begin` to `end`, moving and growing evenly."""

    number: int
    begin: float = 0.0
    end: float = 3.0
    at: tuple[float, float] = (300.0, 180.0)
    to: tuple[float, float] | None = None
    size: float = 100.0
    grows_to: float | None = None
    hidden: tuple[float, float] = (99.0, 99.0)
    """Seconds between which nothing of them is seen."""
    magnitude: float = 40.0

    def face(self, time: float) -> Face | None:
        if not self.begin <= time <= self.end or self.hidden[0] < time < self.hidden[1]:
            return None
        share = (time - self.begin) / max(1e-9, self.end - self.begin)
        x, y = (a + (b - a) * share for a, b in zip(self.at, self.to or self.at, strict=True))
        size = self.size + ((self.grows_to or self.size) - self.size) * share
        box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)
        kps = (REFERENCE_POINTS - 56) * size / 90 + np.array([x, y], np.float32)
        # The score carries who it is to the made-up engine, as nothing else of a detected face can.
        return Face(box, kps, 0.5 + self.number / 1000)


@functools.cache
def _noise() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (SIZE_WH[1] + 64, SIZE_WH[0] + 64, 3), dtype=np.uint8)


def pictures(count: int) -> list[np.ndarray]:
    """Noise of full contrast, each picture another."""
    return [_noise()[i % 64 : i % 64 + SIZE_WH[1], i % 61 : i % 61 + SIZE_WH[0]] for i in range(count)]


class SceneSource:
    """Frames of some people, with their faces found already; time is that of the scene."""

    name = "scene"
    live = False

    def __init__(self, people: Iterable[Person], seconds: float = 4.0, fps: int = 12) -> None:
        self.people, self.fps = list(people), fps
        self.images = pictures(round(seconds * fps))
        self.number = 0
        self.late = 0.0
        """Seconds that frames are old when they are taken."""
        self.state = CaptureState.RUNNING
        self.closed = False

    def read(self, timeout: float | None = None) -> Frame | None:
        if self.number >= len(self.images) or self.closed:
            self.state = CaptureState.ENDED
            return None
        time = self.number / self.fps
        faces = tuple(face for person in self.people if (face := person.face(time)) is not None)
        image, self.number = self.images[self.number], self.number + 1
        arrived = steady_seconds() - self.late
        return Frame(image, self.number - 1, time, arrived, datetime.now(timezone.utc), time, 0, faces)

    @property
    def status(self) -> CaptureStatus:
        return CaptureStatus(self.state, self.number, 0, 0, 0, 1, 0, 0.0, None)

    def close(self) -> None:
        self.closed = True


class SceneEngine:
    """Embeds the person whom a face says it is; different people are about orthogonal."""

    contract = CONTRACT
    retry_below = 20.0

    def __init__(self, noise: float = 0.4) -> None:
        self._scale = QualityScale([(0.0, 0.0), (50.0, 100.0)])
        self._noise = noise
        self._rng = np.random.default_rng(8)
        self.magnitude: dict[int, float] = {}
        self.embedded: list[int] = []

    def direction(self, number: int) -> np.ndarray:
        vector = np.random.default_rng(1000 + number).standard_normal(DIMENSION)
        return np.asarray(vector / np.linalg.norm(vector))

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        return ()

    def embed_faces(self, image: np.ndarray, faces: Sequence[Face]) -> tuple[Face, ...]:
        embedded = []
        for face in faces:
            number = round((face.det_score - 0.5) * 1000)
            self.embedded.append(number)
            length = self.magnitude.get(number, 40.0)
            noise = self._rng.standard_normal(DIMENSION) * self._noise / np.sqrt(DIMENSION)
            unit = self.direction(number) + noise
            raw = (unit / np.linalg.norm(unit) * length).astype(np.float32)
            quality = float(self._scale.quality(length))
            embedded.append(Face(face.bbox, face.kps, face.det_score, raw, CONTRACT, 0.5, quality))
        return tuple(embedded)

    def fusion(self) -> Fusion:
        return Fusion(CONTRACT, self._scale, outlier_below=0.3)

    def threshold(self, fmr: float) -> float:
        return 0.5

    def stretch(self, count: int | None) -> float:
        return 1.0


class SceneGallery:
    """People enrolled by their true direction."""

    def __init__(self, engine: SceneEngine, numbers: Iterable[int]) -> None:
        self.templates = {
            f"p{number}": Template(CONTRACT, engine.direction(number).astype(np.float32), 40.0, 1, 0.0)
            for number in numbers
        }
        self.searches = 0

    def identify(self, probe: Template, *, threshold: float) -> Identification:
        self.searches += 1
        ranked = sorted(((probe.similarity(t), name) for name, t in self.templates.items()), reverse=True)
        candidates = tuple(Candidate(name, similarity) for similarity, name in ranked)
        if not candidates:
            return Identification((), threshold, Outcome.REJECT, Reason.EMPTY_GALLERY, CONTRACT)
        accepted = candidates[0].similarity >= threshold
        outcome, reason = (Outcome.ACCEPT, Reason.NONE) if accepted else (Outcome.REJECT, Reason.BELOW_THRESHOLD)
        return Identification(candidates, threshold, outcome, reason, CONTRACT)

    def get(self, subject: str) -> tuple[Template, ...]:
        if subject not in self.templates:
            raise UnknownSubjectError(subject)
        return (self.templates[subject],)


@dataclass
class ListSink:
    """Keeps what was made durable; `fail` is called first."""

    events: list[DoorEvent] = field(default_factory=list)
    fail: Callable[[DoorEvent], object] = lambda event: None

    def emit(self, event: DoorEvent) -> None:
        self.fail(event)
        self.events.append(event)

    def close(self) -> None:
        pass


@dataclass
class Relay:
    """Counts openings."""

    commands: list[Any] = field(default_factory=list)
    fail: Callable[[], object] = lambda: None

    def open(self, command: Any) -> None:
        self.fail()
        command.check()
        self.commands.append(command)

    def close(self) -> None:
        pass


@dataclass
class Scene:
    """A door in that world, with a log and a relay."""

    people: list[Person]
    enrolled: tuple[int, ...] = (1, 2, 3)
    seconds: float = 4.0
    rules: DoorRules = field(default_factory=lambda: DoorRules(min_face=60))
    options: dict[str, Any] = field(default_factory=dict)
    engine: SceneEngine = field(default_factory=SceneEngine)

    def __post_init__(self) -> None:
        self.engine.magnitude = {person.number: person.magnitude for person in self.people}
        self.gallery = SceneGallery(self.engine, self.enrolled)
        self.source = SceneSource(self.people, self.seconds)
        self.sink, self.relay = ListSink(), Relay()
        self.door = Door(
            self.engine,  # type: ignore[arg-type]
            self.gallery,  # type: ignore[arg-type]
            self.source,
            rules=self.rules,
            **{"sink": self.sink, "actuator": self.relay, **self.options},
        )

    def play(self) -> list[DoorEvent]:
        self.events = list(self.door)
        return self.events

    def decisions(self) -> list[tuple[str, str | None, tuple[str, ...]]]:
        """(outcome, subject, reasons) of every decision."""
        return [(e.outcome.value, e.subject, e.reasons) for e in self.events if e.outcome is not None]
