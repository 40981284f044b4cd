"""Targets for every cell: the teacher's raw maps on the undamaged picture, corrected by the labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from qcface_train.detector.augmentation import Sample
from qcface_train.detector.layout import (
    OUTPUT_NAMES,
    CellGrid,
    Floats,
    decode_boxes,
    decode_points,
    iou_matrix,
    join_levels,
    scores_from_maps,
)

HOT = 0.25
"""Cells whose teacher score is higher are compared with the labels."""
POSITIVE = 0.3
"""Cells whose target is higher teach boxes and points."""
UNLABELLED_FACTOR = 0.3
"""The teacher's score is trusted this much where no label agrees."""
MISSED_SCORE = 0.8
"""Score to learn for a labelled face that the teacher misses at this scale."""
TEACHER_ENOUGH = 0.65
"""A face whose best teacher cell is weaker counts as missed."""
SMALLEST_LABEL = 10.0
"""Labelled faces with a shorter side below this (pixels) are left to the teacher's opinion."""
SURE_LABEL = 0.75
"""Labels with a lower score are often no face at all; they are left to the teacher's opinion too."""
LEVEL_LIMITS = (34.0, 88.0)
"""Shorter side, in pixels, at which a face moves to the next level; where the teacher's own levels change over."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What each cell of one picture should say."""

    scores: Floats
    """(C,) in [0, 1]."""
    boxes: Floats
    """(C, 4) xyxy in pixels; meaningful where the score is above `POSITIVE`."""
    points: Floats
    """(C, 10) xy in pixels; likewise."""


class Teacher:
    """A detector of the same layout, run by ONNX Runtime on one thread.

    Parameters
    ----------
    path : Path
        ONNX file.
    threads : int, default 1
        CPU threads.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def maps(self, pictures: Floats) -> dict[str, Floats]:
        """Map float32 BGR pictures (N, 3, H, W) in 0..255 to the twelve outputs by name."""
        values = self._session.run(list(OUTPUT_NAMES), {"input": pictures})
        return dict(zip(OUTPUT_NAMES, values, strict=True))


def targets_from_teacher(maps: dict[str, Floats], sample: Sample, grid: CellGrid) -> Targets:
    """Build the targets of one picture.

    Parameters
    ----------
    maps : dict of str to ndarray of float32, shape (1, cells, channels)
        The teacher's outputs on the undamaged picture.
    sample : Sample
        The picture's labels.
    grid : CellGrid
        Cells of the picture.

    Returns
    -------
    Targets
        The teacher's scores, lowered where no label agrees; its boxes; the labels' points where a label agrees (they
        were found at the photo's full size); and the labels alone for faces the teacher misses at this scale.
    """
    joined = join_levels(maps)
    scores = scores_from_maps(joined["cls"][0, :, 0], joined["obj"][0, :, 0]).astype(np.float32)
    boxes = decode_boxes(joined["bbox"][0], grid.origin, grid.stride)
    points = decode_points(joined["kps"][0], grid.origin, grid.stride).reshape(-1, 10)
    hot = np.flatnonzero(scores > HOT)
    overlap = iou_matrix(boxes[hot], sample.boxes) if len(sample.boxes) else np.zeros((len(hot), 0), np.float32)
    _distrust_unlabelled(scores, hot, boxes, overlap, sample.ignore)
    if len(sample.boxes):
        best = overlap.argmax(axis=1)
        agreeing = (overlap.max(axis=1) > 0.5) & (sample.visible[best] > 0.9)
        points[hot[agreeing]] = sample.points[best[agreeing]].reshape(-1, 10)
        _add_missed(scores, boxes, points, sample, _best_scores(scores[hot], overlap), grid)
    return Targets(scores, boxes, points)


def _distrust_unlabelled(scores: Floats, hot: np.ndarray, boxes: Floats, overlap: Floats, ignore: Floats) -> None:
    known = overlap.max(axis=1, initial=0.0) > 0.25
    if len(ignore):
        known |= iou_matrix(boxes[hot], ignore).max(axis=1) > 0.25
    scores[hot[~known]] *= UNLABELLED_FACTOR


def _best_scores(hot_scores: Floats, overlap: Floats) -> Floats:
    """Best teacher score of each labelled face, (N,)."""
    best: Floats = np.where(overlap > 0.5, hot_scores[:, None], 0.0).max(axis=0, initial=0.0)
    return best


def _add_missed(scores: Floats, boxes: Floats, points: Floats, sample: Sample, best: Floats, grid: CellGrid) -> None:
    """Assign each missed face to the cells around its centre, on the level of its size."""
    sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]).min(axis=1)
    wanted = (best < TEACHER_ENOUGH) & (sides >= SMALLEST_LABEL) & (sample.visible > 0.7)
    wanted &= sample.scores >= SURE_LABEL
    cell_centre = (grid.origin + 0.5) * grid.stride[:, None]
    for face in np.flatnonzero(wanted):
        level = 8 * 2 ** int(np.searchsorted(LEVEL_LIMITS, sides[face]))
        centre = (sample.boxes[face, :2] + sample.boxes[face, 2:]) / 2
        distance = np.abs(cell_centre - centre).max(axis=1)
        reach = max(0.12 * float(sides[face]), level * 0.51)
        cells = np.flatnonzero((grid.stride == level) & (distance <= reach))
        scores[cells] = np.maximum(scores[cells], MISSED_SCORE)
        boxes[cells] = sample.boxes[face]
        points[cells] = sample.points[face].reshape(-1)
