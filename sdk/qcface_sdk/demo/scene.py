"""Run the demo: enrol one person, look for her in changed pictures and in a walk, and try a stranger.

Every decision is the engine's and the gallery's own, at a stated false-match rate; nothing here knows the answer.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qcface_sdk.demo.changes import changed_versions
from qcface_sdk.demo.figure import make_figure
from qcface_sdk.demo.photographs import COLLINS, HOPPER, Image, Photograph
from qcface_sdk.demo.report import CHANGES, STRANGER, STRANGER_WALK, WALK, Curve, Report, Shot
from qcface_sdk.demo.walk import walk_towards_door
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation.ladder import KINDS, LADDER_SEED, climb
from qcface_sdk.gallery import Gallery
from qcface_sdk.matching import cosine
from qcface_sdk.results import Face

WALK_FRAMES = 16
"""Pictures in each walk."""

_STRANGER_CHANGES = (
    *("The same photograph", "Mirrored", "Rotated by 20 degrees"),
    *("3 times smaller", "Blurred, sigma 4 px", "1/16 of the light"),
)

Notify = Callable[[], None]


class _Search:
    """Looks pictures up in the gallery and keeps the shots."""

    def __init__(self, engine: FaceEngine, gallery: Gallery, fmr: float, notify: Notify) -> None:
        self._engine, self._gallery, self._notify = engine, gallery, notify
        self._threshold = engine.threshold(fmr)
        self.shots: list[Shot] = []

    def add(self, group: str, name: str, enrolled: bool, image: Image, distance_m: float | None = None) -> None:
        faces = self._engine.get(image)
        face = faces[0] if faces else None
        result = self._gallery.identify(face, threshold=self._threshold, retry_below=self._engine.retry_below)
        self.shots.append(Shot(group, name, enrolled, image, face, result, distance_m))
        self._notify()


def count_steps(walk_frames: int = WALK_FRAMES) -> int:
    """Return how often `run_demo` calls `notify`."""
    blank = np.zeros((64, 64, 3), np.uint8)
    return sum(1 for _ in changed_versions(blank)) + len(_STRANGER_CHANGES) + 2 * walk_frames + len(KINDS)


def run_demo(
    engine: FaceEngine, *, fmr: float = 1e-4, walk_frames: int = WALK_FRAMES, notify: Notify = lambda: None
) -> Report:
    """Enrol, recognise and refuse on the two photographs.

    Parameters
    ----------
    engine : FaceEngine
        Best made with a small `min_face` (20 px), since the walk begins far away.
    fmr : float
        False-match rate that fixes the threshold.
    walk_frames : int
        Pictures in each walk.
    notify : callable
        Called after every picture.

    Returns
    -------
    Report

    Raises
    ------
    BackendUnavailableError
        If the packages that carry the photographs are missing.
    InputError
        If no face is found in the photograph to be enrolled.
    ThresholdUnavailableError
        If the bundle has no threshold for `fmr`.
    """
    photograph, stranger = COLLINS.read(), HOPPER.read()
    threshold = engine.threshold(fmr)
    faces = engine.get(photograph)
    if not faces:
        raise InputError(f"no face was found in the photograph of {COLLINS.person}; try a smaller min_face")
    with (
        tempfile.TemporaryDirectory(prefix="qcface-demo-") as folder,
        Gallery.open(Path(folder) / "demo.db", engine.contract, key=secrets.token_bytes(32)) as gallery,
    ):
        gallery.enroll(COLLINS.subject, engine.template(faces[0]))
        search = _Search(engine, gallery, fmr, notify)
        _look_at_changes(search, photograph, stranger)
        _look_at_walk(search, COLLINS, photograph, WALK, walk_frames)
        _look_at_walk(search, HOPPER, stranger, STRANGER_WALK, walk_frames)
    return Report(
        shots=tuple(search.shots),
        curves=_measure_curves(engine, photograph, faces[0], notify),
        fmr=fmr,
        threshold=threshold,
        retry_below=engine.retry_below,
        engine=_describe(engine),
        person=COLLINS.person,
        stranger=HOPPER.person,
        credits=(COLLINS.credit, HOPPER.credit),
    )


def _look_at_changes(search: _Search, photograph: Image, stranger: Image) -> None:
    for change in changed_versions(photograph):
        search.add(CHANGES, change.name, True, change.image)
    for change in changed_versions(stranger):
        if change.name in _STRANGER_CHANGES:
            name = "Her photograph" if change.image is stranger else change.name
            search.add(STRANGER, name, False, change.image)


def _look_at_walk(search: _Search, photograph: Photograph, image: Image, group: str, frames: int) -> None:
    figure = make_figure(photograph, image)
    for frame in walk_towards_door(figure, frames):
        blurred = ", motion blur" if frame.blur_px else ""
        name = f"{frame.distance_m:.1f} m{blurred}"
        search.add(group, name, group == WALK, frame.image, frame.distance_m)


def _measure_curves(engine: FaceEngine, image: Image, face: Face, notify: Notify) -> tuple[Curve, ...]:
    crop = engine.align(image, face.kps)[0]
    curves = []
    for kind in KINDS:
        crops = climb(crop, kind, seed=LADDER_SEED)
        embeddings = engine.embed(crops)
        qualities = engine.quality(np.linalg.norm(embeddings.astype(np.float64), axis=1))
        similarities = [cosine(row, embeddings[0]) or 0.0 for row in embeddings]
        curves.append(Curve(kind, tuple(float(q) for q in qualities), tuple(similarities), tuple(crops)))
        notify()
    return tuple(curves)


def _describe(engine: FaceEngine) -> dict[str, str]:
    manifest = engine.bundle.manifest
    return {
        "model": f"{manifest.name} {manifest.version}",
        "contract": engine.contract,
        "backend": engine.backend,
        "precision": engine.precision,
        "training data": manifest.training_data,
        "licence of the weights": manifest.license,
    }
