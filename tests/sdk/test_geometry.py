from __future__ import annotations

import cv2
import numpy as np
import pytest

from qcface_sdk.geometry import REFERENCE_POINTS, box_areas, box_sides, rescale_points


def test_rescale_points_follows_the_pixel_centres_of_opencv_resize() -> None:
    # One bright pixel at (x, y) of a small picture, enlarged 8 times, has its centre of mass where the rule says.
    small = np.zeros((9, 9), np.float32)
    small[4, 3] = 1.0
    large = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR)
    rows, columns = np.indices(large.shape)
    centre = np.array([(columns * large).sum(), (rows * large).sum()]) / large.sum()
    np.testing.assert_allclose(rescale_points(np.float32([[3, 4]]), (8, 8))[0], centre, atol=1e-4)


def test_rescale_points_there_and_back_changes_nothing(rng: np.random.Generator) -> None:
    points = rng.uniform(-50, 2000, (20, 5, 2)).astype(np.float32)
    there = rescale_points(points, (0.31, 0.27))
    np.testing.assert_allclose(rescale_points(there, (1 / 0.31, 1 / 0.27)), points, atol=2e-3)


def test_box_sides_and_areas_by_hand() -> None:
    boxes = np.float32([[0, 0, 4, 3], [10, 10, 12, 30]])
    assert box_sides(boxes).tolist() == [3, 2]
    assert box_areas(boxes).tolist() == [12, 40]


def test_reference_points_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        REFERENCE_POINTS[0, 0] = 0
