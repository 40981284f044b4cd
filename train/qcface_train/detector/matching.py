"""The maths of measuring a detector: matching with labels, recall by size, landmark error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qcface_train.detector.layout import Detections, Floats, iou_matrix

MATCH_IOU = 0.5
IGNORE_IOU = 0.3
"""A detection that overlaps an ignored box this much is neither right nor wrong."""


@dataclass(frozen=True, slots=True)
class PictureMatch:
    """How the detections of one picture meet its labels."""

    truth_sides: Floats
    """(N,) shorter side of each labelled face, pixels."""
    truth_scores: Floats
    """(N,) score of the detection that found the face, NaN where none did."""
    landmark_errors: Floats
    """(N,) mean point distance / inter-ocular distance, NaN where the face was missed."""
    false_scores: Floats
    """(K,) scores of detections that meet neither a face nor an ignored box."""
    false_sides: Floats
    """(K,) their shorter sides, pixels."""


def match_picture(
    found: Detections, boxes: Floats, points: Floats, ignore: Floats, size_wh: tuple[int, int]
) -> PictureMatch:
    """Assign each detection, best score first, to the unclaimed face that it overlaps most.

    Parameters
    ----------
    found : Detections
        Best score first; boxes are clipped to the picture, as the labels are.
    boxes, points : ndarray of float32, shapes (N, 4), (N, 5, 2)
        Labelled faces, pixels.
    ignore : ndarray of float32, shape (M, 4)
        Boxes that count neither way.
    size_wh : tuple of int
        Width and height of the picture.

    Returns
    -------
    PictureMatch
        A second detection of a claimed face is false.
    """
    limits = np.array([*size_wh, *size_wh], np.float32)
    clipped = np.clip(found.boxes, 0, limits)
    overlap = iou_matrix(clipped, boxes) if len(boxes) else np.zeros((len(clipped), 0), np.float32)
    spared = iou_matrix(clipped, ignore).max(axis=1) > IGNORE_IOU if len(ignore) else np.zeros(len(clipped), bool)
    scores = np.full(len(boxes), np.nan, np.float32)
    errors = np.full(len(boxes), np.nan, np.float32)
    false: list[int] = []
    for index in range(len(clipped)):
        free = np.where(np.isnan(scores), overlap[index], 0.0)
        if len(free) and free.max() >= MATCH_IOU:
            face = int(free.argmax())
            scores[face] = found.scores[index]
            errors[face] = landmark_error(found.points[index], points[face])
        elif not spared[index]:
            false.append(index)
    return PictureMatch(_sides(boxes), scores, errors, found.scores[false], _sides(found.boxes[false]))


def _sides(boxes: Floats) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).min(axis=1), np.float32)


def landmark_error(found: Floats, wanted: Floats) -> float:
    """Return the mean distance of five points (5, 2) over the distance of the two labelled eyes."""
    eyes = float(np.linalg.norm(wanted[0] - wanted[1]))
    return float(np.linalg.norm(found - wanted, axis=1).mean()) / max(eyes, 1e-6)


@dataclass(frozen=True, slots=True)
class Counts:
    """Faces found out of faces labelled."""

    found: int
    labelled: int

    @property
    def recall(self) -> float:
        """Share found, NaN without labels."""
        return self.found / self.labelled if self.labelled else float("nan")


def recall_of_sizes(matches: Sequence[PictureMatch], threshold: float, least: float, most: float) -> Counts:
    """Count faces with ``least <= shorter side < most`` that a detection of at least `threshold` found."""
    sides = np.concatenate([match.truth_sides for match in matches])
    scores = np.concatenate([match.truth_scores for match in matches])
    chosen = (sides >= least) & (sides < most)
    return Counts(int((scores[chosen] >= threshold).sum()), int(chosen.sum()))


def count_false(matches: Sequence[PictureMatch], threshold: float, least: float = 0.0) -> int:
    """Count false detections of at least `threshold` with a shorter side of at least `least` pixels."""
    return int(sum(((match.false_scores >= threshold) & (match.false_sides >= least)).sum() for match in matches))


def landmark_errors(matches: Sequence[PictureMatch], threshold: float, least: float) -> Floats:
    """Collect the landmark errors of all found faces with a shorter side of at least `least` pixels."""
    parts = [
        match.landmark_errors[(match.truth_sides >= least) & (match.truth_scores >= threshold)] for match in matches
    ]
    return np.concatenate(parts)


def threshold_for_false_count(
    matches: Sequence[PictureMatch], allowed: int, *, least: float = 0.0, step: float = 0.01
) -> float:
    """Return the lowest multiple of `step` at which at most `allowed` detections of that least size are false."""
    for level in np.arange(1, round(1 / step) + 1):
        if count_false(matches, float(level * step), least) <= allowed:
            return float(level * step)
    return 1.0


def reliable_range(sizes: Sequence[float], recalls: Sequence[float], wanted: float) -> tuple[float, float] | None:
    """Return the smallest and the largest size of the longest unbroken run with a recall of at least `wanted`."""
    good = np.array([recall >= wanted for recall in recalls] + [False])
    best: tuple[int, int] | None = None
    start: int | None = None
    for index, fine in enumerate(good):
        if fine and start is None:
            start = index
        elif not fine and start is not None:
            if best is None or index - start > best[1] - best[0]:
                best = (start, index)
            start = None
    return None if best is None else (float(sizes[best[0]]), float(sizes[best[1] - 1]))


def quantiles(values: npt.NDArray[np.float32], levels: Sequence[float]) -> list[float]:
    """Return quantiles, NaN for none."""
    if not len(values):
        return [float("nan")] * len(levels)
    return [float(value) for value in np.quantile(values, levels)]
