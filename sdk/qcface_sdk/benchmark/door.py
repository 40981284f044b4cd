"""How fast a door decides on a camera's stream, and what that costs."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qcface_sdk.benchmark.walk import Walk
from qcface_sdk.camera import Capture, CaptureOptions, CaptureStatus, Door, DoorRules, Frame
from qcface_sdk.clock import steady_seconds
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import BackendUnavailableError, InputError
from qcface_sdk.gallery import Gallery
from qcface_sdk.image import read_image

CORES = 2
"""The goal for the share of CPU time is stated for so many."""

OTHERS = 1000
"""Made-up people enrolled beside the one who walks."""


@dataclass(frozen=True, slots=True)
class DoorFigures:
    """One run of a door on a stream."""

    stream: str
    """What was played."""
    frames: int
    """Pictures that were looked at."""
    dropped: int
    """Pictures that were replaced by a newer one first."""
    walks: int
    """Times somebody walked up."""
    accepts: int
    """Times the door accepted."""
    cpu_share: float
    """CPU time of the whole process, decoding included, as a share of two cores."""
    accept_ms: float
    """Longest time from the picture in which the face reached `min_face` to the accept."""
    latency_p99_ms: float
    """From the moment a picture was due to the end of its processing, 99th percentile over all pictures."""
    event_ms: float
    """The same for the slowest picture that led to an event."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class _Clocked:
    """Passes a capture's frames on, and notes when each was due and when the next one was asked for."""

    live = True

    def __init__(self, capture: Capture, fps: int) -> None:
        self._capture, self._fps = capture, fps
        self.name = capture.name
        self._start: float | None = None
        self._current: int | None = None
        self.late: list[float] = []

    @property
    def status(self) -> CaptureStatus:
        return self._capture.status

    def due(self, number: int) -> float:
        """Return when picture `number` was due, on the steady clock."""
        return (self._start or 0.0) + number / self._fps

    def read(self, timeout: float | None = None) -> Frame | None:
        if self._current is not None:
            self.late.append(steady_seconds() - self.due(self._current))
        frame = self._capture.read(timeout)
        self._current = None if frame is None else frame.number
        if frame is not None and self._start is None:
            self._start = frame.arrived - frame.number / self._fps
        return frame

    def close(self) -> None:
        self._capture.close()


def measure_door(engine: FaceEngine, *, min_face: float = 60.0, walk: Walk | None = None) -> DoorFigures:
    """Play a generated stream in real time to a door, and measure.

    Parameters
    ----------
    engine : FaceEngine
        Made with a ``min_face`` at most the door's.
    min_face : float
        Of the door, in pixels.
    walk : Walk, optional
        What is played; default 1080p30, three walks of four seconds.

    Raises
    ------
    BackendUnavailableError
        If PyAV, or scikit-image with its public-domain portrait, is not installed.
    InputError
        If the engine finds no face on the portrait.
    """
    played = walk or Walk()
    portrait = read_image(portrait_path())
    faces = engine.get(portrait)
    if not faces:
        raise InputError("the portrait shows no face to this engine; use a smaller min_face")
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "walk.mp4"
        played.write(film, portrait, faces[0].size)
        with Gallery.open(Path(folder) / "people.db", contract=engine.contract) as gallery:
            gallery.enroll("walker", faces[0])
            _enroll_others(engine, gallery)
            return _play(engine, gallery, film, played, min_face)


def _play(engine: FaceEngine, gallery: Gallery, film: Path, walk: Walk, min_face: float) -> DoorFigures:
    source = _Clocked(Capture(film, CaptureOptions(realtime=True)), walk.fps)
    rules = DoorRules(min_face=min_face, cooldown=1.0)
    reached = walk.first_frame_of(min_face)
    accepts: list[float] = []
    event_late: list[float] = []
    with Door(engine, gallery, source, rules=rules) as door:
        wall, cpu = time.perf_counter(), time.process_time()
        for event in door:
            view = door.view
            if view is not None:
                event_late.append(event.monotonic - source.due(view.frame.number))
                if event.accepted:
                    # The detector's box may reach the size a picture or two before the drawn face does.
                    begin = reached[min(view.frame.number // walk.period, walk.repeats - 1)]
                    accepts.append(max(0.0, event.monotonic - source.due(begin)))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        status = door.status
    return DoorFigures(
        f"{walk.size_wh[0]} x {walk.size_wh[1]}, {walk.fps} a second, {walk.frames} pictures",
        len(source.late),
        status.capture.dropped,
        walk.repeats,
        len(accepts),
        cpu / wall / CORES,
        max(accepts, default=float("nan")) * 1e3,
        float(np.percentile(source.late, 99)) * 1e3,
        max(event_late, default=float("nan")) * 1e3,
    )


def _enroll_others(engine: FaceEngine, gallery: Gallery) -> None:
    from qcface_sdk.template import Template

    rng = np.random.default_rng(20251017)
    dimension = engine.bundle.manifest.embedding.dimension
    for number in range(OTHERS):
        row = rng.standard_normal((1, dimension))
        gallery.enroll(f"other-{number}", Template.from_embeddings(row, engine.contract))


def portrait_path() -> str:
    """Return the path of Eileen Collins's portrait (NASA, public domain) that scikit-image carries."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise BackendUnavailableError(
            'the door bench draws a portrait that scikit-image carries; run: pip install "qcface-sdk[demo]"'
        )
    return os.path.join(os.path.dirname(spec.origin), "data", "astronaut.png")
