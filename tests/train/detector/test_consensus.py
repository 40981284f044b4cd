"""The median of many opinions is steadier than any of them."""

from __future__ import annotations

import numpy as np
from drawn_faces import SHAPE, BlindTeacher, drawn_photo

from qcface_train.detector.consensus import consensus_points
from qcface_train.detector.data import Photo
from qcface_train.detector.layout import CellGrid, encode_boxes


class WanderingTeacher(BlindTeacher):
    """Sees the pale oval exactly, but its points are off by a chance shift of 8 % of the face."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)

    def maps(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        maps = super().maps(pictures)
        pale = np.argwhere(pictures[0, 2] > 150)
        (top, left), (bottom, right) = pale.min(axis=0), pale.max(axis=0) + 1
        grid = CellGrid.of_size(pictures.shape[3], pictures.shape[2])
        size = np.array([right - left, bottom - top])
        points = (left, top) + SHAPE * size - 0.5 + self.rng.normal(0, 0.08, 2) * size
        maps["cls_8"][0, 0], maps["obj_8"][0, 0] = 0.9, 0.9
        maps["bbox_8"][0, 0] = encode_boxes(
            np.array([[left, top, right, bottom]], np.float32), grid.origin[:1], grid.stride[:1]
        )[0]
        maps["kps_8"][0, 0] = points.ravel() / 8
        return maps


def error(photo: Photo, points: np.ndarray) -> float:
    side = photo.boxes[0, 2] - photo.boxes[0, 0]
    return float(np.linalg.norm(points[0] - photo.points[0], axis=1).mean() / side)


def test_consensus_points_of_wandering_teacher_come_close_to_the_drawing() -> None:
    photo = drawn_photo(2)
    assert error(photo, consensus_points(WanderingTeacher(), photo, label_votes=0)) < 0.06  # type: ignore[arg-type]


def test_consensus_points_of_blind_teacher_are_the_labels() -> None:
    photo = drawn_photo(2)
    np.testing.assert_array_equal(consensus_points(BlindTeacher(), photo), photo.points)  # type: ignore[arg-type]


def test_consensus_points_without_faces_are_empty() -> None:
    assert consensus_points(BlindTeacher(), drawn_photo(1, faces=0)).shape == (0, 5, 2)  # type: ignore[arg-type]
