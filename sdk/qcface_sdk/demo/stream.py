"""Watch a camera or a video file: find faces, say who they are, and keep annotated frames."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from qcface_sdk.checks import check_positive_int
from qcface_sdk.demo.photographs import Image
from qcface_sdk.drawing import annotate
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ImageReadError
from qcface_sdk.gallery import Gallery
from qcface_sdk.results import Face, Identification


@dataclass(frozen=True, slots=True, eq=False)
class StreamFrame:
    """One frame with what was found in it."""

    number: int
    """Counted from 0."""

    annotated: Image
    """BGR uint8 (H, W, 3) with boxes and decisions."""

    faces: tuple[Face, ...]
    """Largest first."""

    results: tuple[Identification, ...]
    """One per face; empty without a gallery."""

    milliseconds: float
    """Time spent on finding, embedding and searching."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        people: list[dict[str, Any] | None] = [result.to_dict() for result in self.results]
        people += [None] * (len(self.faces) - len(people))
        return {
            "frame": self.number,
            "milliseconds": round(self.milliseconds, 2),
            "faces": [{**face.to_dict(), "identification": who} for face, who in zip(self.faces, people, strict=True)],
        }


def watch(
    source: int | Path, engine: FaceEngine, *, frames: int, gallery: Gallery | None = None, fmr: float = 1e-4
) -> Iterator[StreamFrame]:
    """Yield the frames of a camera or video with their faces.

    Parameters
    ----------
    source : int or path
        Number of a camera, or a video file.
    engine : FaceEngine
    frames : int
        How many frames at most; a video may end sooner.
    gallery : Gallery, optional
        Who is known; without one faces are found and judged, not named.
    fmr : float
        False-match rate of the gallery's threshold.

    Raises
    ------
    ImageReadError
        If the source cannot be opened, gives no frame, or is a camera that stops giving frames.
    """
    check_positive_int("frames", frames)
    name = f"camera {source}" if isinstance(source, int) else f"video {source}"
    if isinstance(source, Path) and not source.is_file():
        raise ImageReadError(f"cannot open {name}: no such file; check the path")
    capture = _open(source)
    try:
        if not capture.isOpened():
            raise ImageReadError(f"cannot open {name}; is it connected, free, and readable by this user?")
        for number in range(frames):
            arrived, image = capture.read()
            if not arrived:
                if number == 0 or isinstance(source, int):
                    raise ImageReadError(
                        f"{name} gives no frame after {number}; was it unplugged, or is the file broken?"
                    )
                return
            yield _look(number, np.asarray(image, np.uint8), engine, gallery, fmr)
    finally:
        capture.release()


def _open(source: int | Path) -> cv2.VideoCapture:
    # A missing camera makes OpenCV write warnings of its own beside our error.
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(source if isinstance(source, int) else str(source))
    finally:
        cv2.utils.logging.setLogLevel(level)


def _look(number: int, image: Image, engine: FaceEngine, gallery: Gallery | None, fmr: float) -> StreamFrame:
    start = time.perf_counter()
    faces = engine.get(image)
    results: tuple[Identification, ...] = ()
    if gallery is not None:
        results = gallery.identify_batch(faces, threshold=engine.threshold(fmr), retry_below=engine.retry_below)
    milliseconds = (time.perf_counter() - start) * 1e3
    if results:
        labels = [result.subject or result.decision.value for result in results]
        annotated = annotate(image, faces, labels=labels, outcomes=[result.decision for result in results])
    else:
        annotated = annotate(image, faces)
    return StreamFrame(number, annotated, faces, results, milliseconds)
