"""Drawn photos with known faces, and a teacher that sees nothing, for the detector's tests."""

from __future__ import annotations

import cv2
import numpy as np

from qcface_train.detector.data import Photo
from qcface_train.detector.layout import CHANNELS, OUTPUT_NAMES

SHAPE = np.array([[0.3, 0.38], [0.7, 0.38], [0.5, 0.58], [0.35, 0.78], [0.65, 0.78]], np.float32)
"""Points as shares of the box."""


def drawn_photo(seed: int = 0, *, side: int = 160, faces: int = 1) -> Photo:
    """Draw pale ovals with dark eyes and a mouth on a dark ground."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(20, 60, (side, side, 3), dtype=np.uint8)
    boxes, points = [], []
    for index in range(faces):
        width = int(rng.integers(side // 4, side // 3))
        height = round(width * 1.25)
        x, y = (side // 2) * (index % 2) + 8, int(rng.integers(4, side - height - 4))
        cv2.ellipse(
            picture, (x + width // 2, y + height // 2), (width // 2, height // 2), 0, 0, 360, (180, 200, 230), -1
        )
        marks = SHAPE * (width, height) + (x, y)
        for mark in marks[:3]:
            cv2.circle(picture, (int(mark[0]), int(mark[1])), max(1, width // 14), (30, 30, 40), -1)
        left, right = (tuple(int(value) for value in mark) for mark in marks[3:])
        cv2.line(picture, left, right, (40, 40, 160), max(1, width // 14))
        boxes.append([x, y, x + width, y + height])
        points.append(marks)
    return Photo(
        f"drawn-{seed}",
        picture,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(points, np.float32).reshape(-1, 5, 2),
        np.ones(len(boxes), np.float32),
        np.zeros((0, 4), np.float32),
        "drawn",
    )


class BlindTeacher:
    """Gives maps of the right shape without any face."""

    def maps(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        count, _, height, width = pictures.shape
        result = {}
        for name in OUTPUT_NAMES:
            kind, stride = name.split("_")
            cells = (height // int(stride)) * (width // int(stride))
            result[name] = np.zeros((count, cells, CHANNELS[kind]), np.float32)
        return result
