"""Every cell's target: the teacher's word, corrected by the labels."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_faces import SHAPE, BlindTeacher

from qcface_train.detector.augmentation import Sample
from qcface_train.detector.distillation import (
    MISSED_SCORE,
    POSITIVE,
    UNLABELLED_FACTOR,
    targets_from_teacher,
)
from qcface_train.detector.layout import CellGrid, encode_boxes

SIDE = 128
GRID = CellGrid.of_size(SIDE, SIDE)


def sample(
    *boxes: list[float], ignore: list[list[float]] | None = None, visible: float = 1.0, score: float = 1.0
) -> Sample:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    points = array[:, None, :2] + SHAPE[None] * (array[:, None, 2:] - array[:, None, :2])
    ignored = np.array(ignore or [], np.float32).reshape(-1, 4)
    shares, scores = (np.full(len(array), value, np.float32) for value in (visible, score))
    return Sample(np.zeros((SIDE, SIDE, 3), np.uint8), array, points, shares, scores, ignored)


def blind_maps() -> dict[str, np.ndarray]:
    return BlindTeacher().maps(np.zeros((1, 3, SIDE, SIDE), np.float32))


def seeing_maps(box: list[float], cell: int, score: float) -> dict[str, np.ndarray]:
    """One cell of stride 8 sees `box`."""
    maps = blind_maps()
    maps["cls_8"][0, cell], maps["obj_8"][0, cell] = score, score
    raw = encode_boxes(np.array([box], np.float32), GRID.origin[cell : cell + 1], GRID.stride[cell : cell + 1])
    maps["bbox_8"][0, cell] = raw[0]
    return maps


@pytest.mark.parametrize(("side", "stride"), [(20, 8), (60, 16), (110, 32)], ids=["small", "middle", "large"])
def test_targets_from_teacher_missed_face_is_assigned_to_the_level_of_its_size(side: int, stride: int) -> None:
    box = [10.0, 8.0, 10.0 + side, 8.0 + side]
    targets = targets_from_teacher(blind_maps(), sample(box), GRID)
    cells = np.flatnonzero(targets.scores > POSITIVE)
    assert len(cells) > 0
    assert set(GRID.stride[cells]) == {stride}
    np.testing.assert_allclose(targets.scores[cells], MISSED_SCORE)
    np.testing.assert_array_equal(targets.boxes[cells], np.tile(box, (len(cells), 1)))
    centre = (GRID.origin[cells] + 0.5) * stride
    assert np.abs(centre - [10 + side / 2, 8 + side / 2]).max() <= max(0.12 * side, 0.51 * stride)


def test_targets_from_teacher_tiny_hidden_or_unsure_face_is_left_to_the_teacher() -> None:
    for boxes in (sample([10, 10, 17, 18]), sample([10, 10, 50, 60], visible=0.4), sample([10, 10, 50, 60], score=0.7)):
        assert targets_from_teacher(blind_maps(), boxes, GRID).scores.max() == 0.0


def test_targets_from_teacher_seen_face_keeps_score_and_takes_labelled_points() -> None:
    box, cell = [40.0, 40.0, 70.0, 76.0], 7 * 16 + 6
    targets = targets_from_teacher(seeing_maps(box, cell, 0.9), sample(box), GRID)
    assert np.flatnonzero(targets.scores > POSITIVE).tolist() == [cell]
    assert targets.scores[cell] == pytest.approx(0.9)
    np.testing.assert_allclose(targets.boxes[cell], box, atol=1e-3)
    np.testing.assert_allclose(targets.points[cell].reshape(5, 2), sample(box).points[0], atol=1e-4)


def test_targets_from_teacher_unlabelled_face_is_distrusted_unless_ignored() -> None:
    box, cell = [40.0, 40.0, 70.0, 76.0], 7 * 16 + 6
    distrusted = targets_from_teacher(seeing_maps(box, cell, 0.9), sample(), GRID)
    trusted = targets_from_teacher(seeing_maps(box, cell, 0.9), sample(ignore=[box]), GRID)
    assert distrusted.scores[cell] == pytest.approx(0.9 * UNLABELLED_FACTOR)
    assert trusted.scores[cell] == pytest.approx(0.9)
