"""Time every stage between a picture file and a decision, one after the other in one process.

Each stage is timed alone on the same picture, with the objects the engine itself is made of. Medians, because a busy
machine makes means meaningless.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import align as align_kernels
from qcface_sdk._native import detect as detect_kernels
from qcface_sdk._native import match as match_kernels
from qcface_sdk.alignment import similarity_transforms
from qcface_sdk.checks import check_image
from qcface_sdk.detection import Detector, DetectorLimits
from qcface_sdk.embedding import Embedder
from qcface_sdk.engine import FaceEngine
from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_sdk.image import decode_image
from qcface_sdk.runtime import Runner, open_runner

FRAME_WH = (1920, 1080)
"""Size of the picture that is drawn when none is given."""

GALLERY_ROWS = 10_000
"""Enrolled templates in the matching stage."""

BATCH = 8
"""Faces in the batched embedding stage."""

_SEED = 20251017
_SECONDS, _QUICK_SECONDS = 1.0, 0.15
_LEAST_RUNS = 5


@dataclass(frozen=True, slots=True)
class Stage:
    """Time of one stage."""

    name: str
    """What was timed."""

    what: str
    """On how much, in words."""

    median_ms: float
    """Median time of a run in milliseconds."""

    p90_ms: float
    """Time in milliseconds that nine of ten runs kept."""

    runs: int
    """How many runs were timed."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def measure_stages(
    engine: FaceEngine,
    *,
    min_face: float = 40.0,
    threads: int = 1,
    detector: str | os.PathLike[str] | None = None,
    picture: NDArray[np.uint8] | None = None,
    quick: bool = False,
) -> tuple[Stage, ...]:
    """Time the stages of recognition.

    Parameters
    ----------
    engine : FaceEngine
        Gives the bundle and backend, and is itself timed as the last stage.
    min_face, threads, detector
        What `engine` was made with.
    picture : ndarray of uint8, shape (H, W, 3), optional
        BGR. Default is a drawn one of `FRAME_WH` without faces; alignment then works on made-up landmarks.
    quick : bool, default False
        Time each stage for a shorter while.

    Returns
    -------
    tuple of Stage
        In the order in which a picture passes through them.

    Raises
    ------
    ShapeError, ImageSizeError
        If `picture` is not a BGR picture.
    """
    frame = check_image(_drawn_frame() if picture is None else picture)
    clock = _Clock(_QUICK_SECONDS if quick else _SECONDS)
    _time_reading(clock, frame)
    _time_detection(clock, _open_detector(engine, detector, min_face, threads), frame)
    _time_embedding(clock, engine, frame, threads)
    _time_matching(clock, engine)
    found = len(engine.detect(frame))
    what = f"{frame.shape[1]} x {frame.shape[0]} frame, {found} found as faces"
    clock.add("all: engine.get", what, lambda: engine.get(frame))
    return tuple(clock.stages)


class _Clock:
    """Times calls and keeps the results."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.stages: list[Stage] = []

    def add(self, name: str, what: str, call: Callable[[], object]) -> None:
        call()
        times: list[float] = []
        while len(times) < _LEAST_RUNS or sum(times) < self._seconds:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        median, p90 = (float(value) * 1e3 for value in np.percentile(times, (50, 90)))
        self.stages.append(Stage(name, what, median, p90, len(times)))


def _time_reading(clock: _Clock, frame: NDArray[np.uint8]) -> None:
    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    clock.add("read", f"JPEG of {len(data) / 1024:.0f} KiB", lambda: decode_image(data))


def _open_detector(
    engine: FaceEngine, path: str | os.PathLike[str] | None, min_face: float, threads: int
) -> tuple[Detector, Runner, DetectorLimits]:
    info = engine.bundle.manifest.detector
    if path is None:
        data = engine.bundle.read(info.file)
        limits = DetectorLimits(info.score_threshold, info.iou_threshold, info.smallest_face, info.largest_face)
    else:
        data, limits = Path(path).read_bytes(), DetectorLimits()
    runner = open_runner(data, engine.backend, threads)
    return Detector(runner, limits, min_face), runner, limits


def _time_detection(clock: _Clock, opened: tuple[Detector, Runner, DetectorLimits], frame: NDArray[np.uint8]) -> None:
    detector, runner, limits = opened
    scales = detector.scales((frame.shape[1], frame.shape[0]))
    tensors = [detector.preprocess(frame, scale)[0] for scale in scales]
    sizes = [(tensor.shape[3], tensor.shape[2]) for tensor in tensors]
    what = " + ".join(f"{width} x {height}" for width, height in sizes)
    feeds = [{runner.inputs[0].name: tensor} for tensor in tensors]
    outputs = [runner.infer(feed) for feed in feeds]

    def decode() -> None:
        rows = np.concatenate([detector.decode(out, size) for out, size in zip(outputs, sizes, strict=True)])
        detect_kernels.nms(rows, limits.iou_threshold, np.empty(len(rows), np.int32))

    clock.add("detect: resize", f"to {what}", lambda: [detector.preprocess(frame, scale) for scale in scales])
    clock.add("detect: network", what, lambda: [runner.infer(feed) for feed in feeds])
    clock.add("detect: decode, NMS", what, decode)
    detector.close()


def _time_embedding(clock: _Clock, engine: FaceEngine, frame: NDArray[np.uint8], threads: int) -> None:
    manifest = engine.bundle.manifest
    runner = open_runner(engine.bundle.read(engine.artifact.file), engine.backend, threads)
    side = manifest.input.size_wh[0]
    tensor = np.empty((BATCH, 3, side, side), np.float32)
    mean = np.array(manifest.input.mean, np.float32)
    scale = (1.0 / np.array(manifest.input.std)).astype(np.float32)
    found = engine.detect(frame)
    middle = np.array([frame.shape[1] / 2 - 56, frame.shape[0] / 2 - 56], np.float32)
    points = found[0].kps if found else REFERENCE_POINTS + middle

    def align() -> None:
        transforms = similarity_transforms(points)
        align_kernels.warp_faces(frame, transforms, tensor[:1], mean, scale, manifest.input.color == "RGB")

    clock.add("align", "1 face, warp and normalise", align)
    tensor[:] = tensor[:1]
    name = runner.inputs[0].name
    one, many = {name: tensor[:1].copy()}, {name: tensor}
    # Checked once here, so that a bench never reports the speed of a broken model.
    Embedder(runner, manifest.input, manifest.embedding.dimension, BATCH).embed_crops(engine.align(frame, points))
    clock.add("embed: network", f"1 face, {engine.precision}", lambda: runner.infer(one))
    clock.add("embed: network", f"{BATCH} faces, {engine.precision}", lambda: runner.infer(many))
    runner.close()


def _time_matching(clock: _Clock, engine: FaceEngine) -> None:
    dimension = engine.bundle.manifest.embedding.dimension
    rng = np.random.default_rng(_SEED)
    rows = rng.standard_normal((GALLERY_ROWS, dimension), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index, score = np.empty((1, 5), np.int64), np.empty((1, 5), np.float32)
    clock.add(
        "match",
        f"1 probe, {GALLERY_ROWS:,} x {dimension}, best 5",
        lambda: match_kernels.top_k_float32(rows, rows[:1], 5, index, score),
    )


def _drawn_frame() -> NDArray[np.uint8]:
    rng = np.random.default_rng(_SEED)
    coarse = rng.integers(0, 256, (FRAME_WH[1] // 40, FRAME_WH[0] // 40, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, FRAME_WH, interpolation=cv2.INTER_CUBIC), np.uint8)
