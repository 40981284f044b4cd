"""Measuring a detector beside the teacher: the same pictures, one run, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from qcface_train.detector.data import Photo, Picture
from qcface_train.detector.distillation import Teacher
from qcface_train.detector.layout import Detections, Floats, decode
from qcface_train.detector.matching import (
    PictureMatch,
    count_false,
    landmark_errors,
    match_picture,
    quantiles,
    recall_of_sizes,
    reliable_range,
    threshold_for_false_count,
)

TEACHER_THRESHOLD = 0.6
SIZE_BINS = ((8, 16), (16, 24), (24, 48), (48, 96), (96, 192), (192, 321))
SWEEP_SIZES = (8, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 448)
CLOSE_SHARES = (0.6, 0.7, 0.8, 0.9)
CLOSE_FRAMES = ((320, 256), (640, 480))
CURVE_LEVELS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
LARGEST_ENLARGEMENT = 4.0
"""Stored faces are not enlarged further: beyond it they are mere blur."""
NO_FACE = np.zeros((0, 4), np.float32)
NO_POINTS = np.zeros((0, 5, 2), np.float32)


class OnnxDetector:
    """A detector file with the score threshold it is used at; single-threaded.

    Parameters
    ----------
    path : Path
        ONNX file with the layout of `layout`.
    threshold : float
        Lowest score that counts.
    """

    def __init__(self, path: Path, threshold: float) -> None:
        self._runner = Teacher(path)
        self.threshold = threshold

    def detect(self, picture: Picture, threshold: float = 0.02) -> Detections:
        """Detect in a BGR uint8 picture (H, W, 3) at its own size, padded to multiples of 32 with black."""
        height, width = picture.shape[:2]
        padded = np.zeros((1, 3, -(-height // 32) * 32, -(-width // 32) * 32), np.float32)
        padded[0, :, :height, :width] = picture.transpose(2, 0, 1)
        maps = self._runner.maps(padded)
        return decode(maps, (padded.shape[3], padded.shape[2]), score_threshold=threshold)

    def latency_ms(self, size_wh: tuple[int, int]) -> float:
        """Time one run of the network alone, in milliseconds."""
        noise = np.full((1, 3, size_wh[1], size_wh[0]), 127.0, np.float32)
        started = time.perf_counter()
        self._runner.maps(noise)
        return (time.perf_counter() - started) * 1e3


@dataclass(frozen=True, slots=True)
class View:
    """A picture made from a photo around one face, with that face's label."""

    picture: Picture
    box: Floats
    """(1, 4)."""
    points: Floats
    """(1, 5, 2)."""
    ignore: Floats
    """(M, 4) everything else that may be found without blame."""


def match_photos(detector: OnnxDetector, photos: Sequence[Photo]) -> list[PictureMatch]:
    """Detect in every photo at its stored size and match with its labels."""
    matches = []
    for photo in photos:
        size = (photo.picture.shape[1], photo.picture.shape[0])
        found = detector.detect(photo.picture)
        matches.append(match_picture(found, photo.boxes, photo.points, photo.ignore, size))
    return matches


def choose_threshold(model: OnnxDetector, teacher: OnnxDetector, photos: Sequence[Photo]) -> dict[str, float]:
    """Find the model's threshold with no more false positives than the teacher on the same photos, both from 24 px."""
    allowed = count_false(match_photos(teacher, photos), teacher.threshold, 24)
    ours = match_photos(model, photos)
    threshold = threshold_for_false_count(ours, allowed, least=24)
    return {
        "photos": len(photos),
        "teacher_false_24": allowed,
        "threshold": threshold,
        "false_24": count_false(ours, threshold, 24),
        "recall_24": recall_of_sizes(ours, threshold, 24, np.inf).recall,
    }


def measure_photos(detector: OnnxDetector, photos: Sequence[Photo]) -> dict[str, Any]:
    """Recall by size, false positives and landmark errors on photos at their stored size."""
    matches = match_photos(detector, photos)
    overall = recall_of_sizes(matches, detector.threshold, 24, np.inf)
    median, p90 = quantiles(landmark_errors(matches, detector.threshold, 24), (0.5, 0.9))
    bins = {
        f"{least}-{most}": asdict(recall_of_sizes(matches, detector.threshold, least, most))
        for least, most in SIZE_BINS
    }
    curve = [
        {
            "threshold": level,
            "recall_24": recall_of_sizes(matches, level, 24, np.inf).recall,
            "false_24": count_false(matches, level, 24),
            "false": count_false(matches, level),
        }
        for level in CURVE_LEVELS
    ]
    return {
        "threshold": detector.threshold,
        "faces_24": overall.labelled,
        "false_24": count_false(matches, detector.threshold, 24),
        "curve": curve,
        "recall_24": overall.recall,
        "false": count_false(matches, detector.threshold),
        "landmark_median": median,
        "landmark_p90": p90,
        "bins": bins,
    }


def view_of_face(photo: Photo, face: int, scale: float, size_wh: tuple[int, int]) -> View:
    """Rescale a photo and cut a frame around one face; black outside the photo.

    Parameters
    ----------
    photo : Photo
        Source.
    face : int
        Index of the face that is brought to the middle, as far as the photo's edges allow.
    scale : float
        Frame pixels per photo pixel.
    size_wh : tuple of int
        Width and height of the frame.

    Returns
    -------
    View
        The face's label clipped to the frame; all other faces are ignored.
    """
    height, width = photo.picture.shape[:2]
    resized = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(photo.picture, resized, interpolation=method)
    factor = np.array([resized[0] / width, resized[1] / height], np.float32)
    box = photo.boxes[face].reshape(2, 2) * factor
    frame = np.array(size_wh)
    slack = np.maximum(np.array(resized) - frame, 0)
    corner = np.clip(np.rint(box.mean(axis=0) - frame / 2), np.minimum(0, np.array(resized) - frame), slack).astype(int)
    canvas = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    low, high = np.maximum(corner, 0), np.minimum(corner + frame, resized)
    canvas[low[1] - corner[1] : high[1] - corner[1], low[0] - corner[0] : high[0] - corner[0]] = picture[
        low[1] : high[1], low[0] : high[0]
    ]
    limits = np.array([*size_wh, *size_wh], np.float32)
    moved = (photo.boxes.reshape(-1, 2, 2) * factor - corner).reshape(-1, 4)
    others = np.concatenate([np.delete(moved, face, axis=0), _moved(photo.ignore, factor, corner)])
    points = ((photo.points[face] + 0.5) * factor - 0.5 - corner)[None]
    clipped = np.clip(np.concatenate([moved[face][None], others]), 0, limits).astype(np.float32)
    return View(canvas, clipped[:1], points.astype(np.float32), clipped[1:])


def _moved(boxes: Floats, factor: Floats, corner: np.ndarray) -> Floats:
    return np.asarray((boxes.reshape(-1, 2, 2) * factor - corner).reshape(-1, 4), np.float32)


def sweep_views(photos: Sequence[Photo], target: float, limit: int) -> Iterator[View]:
    """Yield up to `limit` views in which a face's shorter side is `target` pixels."""
    side = max(320, -(-int(1.6 * target) // 32) * 32)
    for photo, face, short in _faces(photos, least=max(24.0, target / LARGEST_ENLARGEMENT), limit=limit):
        yield view_of_face(photo, face, target / short, (side, side))


def close_views(photos: Sequence[Photo], share: float, size_wh: tuple[int, int], limit: int) -> Iterator[View]:
    """Yield views in which a face fills `share` of the frame's height."""
    for photo, face, _ in _faces(photos, least=24.0, limit=10**9):
        height = float(photo.boxes[face, 3] - photo.boxes[face, 1])
        scale = share * size_wh[1] / height
        if scale <= LARGEST_ENLARGEMENT and limit > 0:
            limit -= 1
            yield view_of_face(photo, face, scale, size_wh)


def _faces(photos: Sequence[Photo], least: float, limit: int) -> Iterator[tuple[Photo, int, float]]:
    """Yield photo, index and shorter side of labelled faces that lie wholly inside their photo."""
    for photo in photos:
        height, width = photo.picture.shape[:2]
        for face, box in enumerate(photo.boxes):
            short = float((box[2:] - box[:2]).min())
            inside = box[0] > 0 and box[1] > 0 and box[2] < width and box[3] < height
            if short >= least and inside and limit > 0:
                limit -= 1
                yield photo, face, short


def measure_views(detectors: Sequence[OnnxDetector], views: Iterator[View]) -> dict[str, Any]:
    """Recall, false positives and median landmark error of each detector on the same views."""
    matches: list[list[PictureMatch]] = [[] for _ in detectors]
    for view in views:
        size = (view.picture.shape[1], view.picture.shape[0])
        for detector, column in zip(detectors, matches, strict=True):
            found = detector.detect(view.picture, detector.threshold)
            column.append(match_picture(found, view.box, view.points, view.ignore, size))
    if not matches[0]:
        return {"views": 0}
    pairs = list(zip(detectors, matches, strict=True))
    return {
        "views": len(matches[0]),
        "recall": [recall_of_sizes(column, detector.threshold, 0, np.inf).recall for detector, column in pairs],
        "false": [count_false(column, detector.threshold) for detector, column in pairs],
        "landmark_median": [
            quantiles(landmark_errors(column, detector.threshold, 0), (0.5,))[0] for detector, column in pairs
        ],
    }


def measure_empty(detectors: Sequence[OnnxDetector], pictures: Iterator[Picture]) -> dict[str, Any]:
    """Count detections in pictures without faces."""
    count, false = 0, np.zeros(len(detectors), int)
    for picture in pictures:
        count += 1
        false += [len(detector.detect(picture, detector.threshold).scores) for detector in detectors]
    return {"pictures": count, "false": false.tolist()}


def video_frames(path: Path) -> Iterator[Picture]:
    """Yield the BGR frames of a video file."""
    capture = cv2.VideoCapture(str(path))
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield np.asarray(frame, np.uint8)
    finally:
        capture.release()


def measure_latency(detectors: Sequence[OnnxDetector], size_wh: tuple[int, int], rounds: int = 60) -> list[float]:
    """Median milliseconds of the network alone; the detectors take turns, so that both meet the same machine."""
    times = [[detector.latency_ms(size_wh) for detector in detectors] for _ in range(rounds)]
    return [float(value) for value in np.median(np.array(times[rounds // 6 :]), axis=0)]


def darken(picture: Picture) -> Picture:
    """A tenth of the light, rounded to 8 bits."""
    return np.asarray(picture * np.float32(0.1), np.uint8)


def soften(picture: Picture) -> Picture:
    """Gaussian blur of 2 pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.0), np.uint8)


DAMAGES: dict[str, Callable[[Picture], Picture]] = {"dark_0.1": darken, "blur_2px": soften}


def damaged(photos: Sequence[Photo], change: Callable[[Picture], Picture]) -> list[Photo]:
    """Return the photos with changed pictures and unchanged labels."""
    return [replace(photo, picture=change(photo.picture)) for photo in photos]


def measure_all(
    detectors: Sequence[OnnxDetector],
    photos: Sequence[Photo],
    video: Path | None,
    *,
    limit: int,
    steady: Sequence[Photo] = (),
) -> dict[str, Any]:
    """Run every measurement; lists in the result follow the order of `detectors`.

    Parameters
    ----------
    detectors : sequence of OnnxDetector
        Ours first, then the teacher.
    photos : sequence of Photo
        The validation split.
    video : Path or None
        A clip without faces.
    limit : int
        Most faces a size in the sweep and a share in the close-face test.
    steady : sequence of Photo, default ()
        The same photos with consensus points instead of the labels' points.

    Returns
    -------
    dict
        Plain values, ready for JSON.
    """
    empty = [photo.picture for photo in photos if photo.source.startswith("noface")]
    sweep = {size: measure_views(detectors, sweep_views(photos, size, limit)) for size in SWEEP_SIZES}
    sizes = [size for size in SWEEP_SIZES if sweep[size]["views"] >= 20]
    ranges = [
        reliable_range(sizes, [sweep[size]["recall"][index] for size in sizes], 0.95) for index in range(len(detectors))
    ]
    return {
        "photos": [measure_photos(detector, photos) for detector in detectors],
        "steady_landmarks": [measure_photos(detector, steady)["landmark_median"] for detector in detectors if steady],
        "damaged": {
            name: [measure_photos(detector, damaged(photos, change)) for detector in detectors]
            for name, change in DAMAGES.items()
        },
        "sweep": {str(size): row for size, row in sweep.items()},
        "reliable_sizes": ranges,
        "close": {
            f"{width}x{height}": {
                str(share): measure_views(detectors, close_views(photos, share, (width, height), limit))
                for share in CLOSE_SHARES
            }
            for width, height in CLOSE_FRAMES
        },
        "empty_photos": measure_empty(detectors, iter(empty)),
        "empty_video": measure_empty(detectors, video_frames(video)) if video else None,
        "latency_ms": {f"{w}x{h}": measure_latency(detectors, (w, h)) for w, h in ((320, 320), (640, 480))},
    }
