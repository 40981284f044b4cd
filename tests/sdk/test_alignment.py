from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.alignment import align, similarity_transforms
from qcface_sdk.errors import DegenerateLandmarksError, NotFiniteError, ShapeError
from qcface_sdk.geometry import REFERENCE_POINTS


def similarity(angle_deg: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(angle_deg)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@given(st.floats(-180, 180), st.floats(0.1, 20), st.floats(-500, 3000), st.floats(-500, 3000))
def test_similarity_transforms_of_a_moved_reference_face_undoes_the_move(
    angle: float, scale: float, x: float, y: float
) -> None:
    points = apply(similarity(angle, scale, (x, y)), REFERENCE_POINTS.astype(np.float64))
    matrix = similarity_transforms(points)[0]
    np.testing.assert_allclose(apply(matrix, points.astype(np.float32)), REFERENCE_POINTS, atol=2e-2)


def test_similarity_transforms_minimises_the_squared_distance(rng: np.random.Generator) -> None:
    # Oracle: linear least squares over (a, b, tx, ty) of [[a, -b], [b, a]], solved by numpy.
    points = REFERENCE_POINTS * 2.5 + 100 + rng.normal(0, 4, (5, 2))
    rows, targets = [], []
    for (x, y), (u, v) in zip(points.astype(np.float32), REFERENCE_POINTS, strict=True):
        rows += [[x, -y, 1, 0], [y, x, 0, 1]]
        targets += [u, v]
    a, b, tx, ty = np.linalg.lstsq(np.array(rows, np.float64), np.array(targets, np.float64), rcond=None)[0]
    np.testing.assert_allclose(similarity_transforms(points)[0], [[a, -b, tx], [b, a, ty]], atol=1e-4)


def test_align_agrees_with_opencv(noise_image: np.ndarray) -> None:
    kps = apply(similarity(12, 1.7, (90, 40)), REFERENCE_POINTS.astype(np.float64))
    crop = align(noise_image, kps)[0]
    expected = cv2.warpAffine(noise_image, similarity_transforms(kps)[0], (112, 112), flags=cv2.INTER_LINEAR)
    # OpenCV rounds the position to 1/32 pixel, ours does not: a steep edge may differ by a few levels.
    difference = np.abs(crop.astype(int) - expected)
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99) <= 3


def test_align_outside_the_picture_is_black(noise_image: np.ndarray) -> None:
    assert not align(noise_image, REFERENCE_POINTS + 5000).any()


def test_align_of_a_view_equals_align_of_a_copy(noise_image: np.ndarray) -> None:
    view = noise_image[30:250, 50:300]
    kps = REFERENCE_POINTS + 40
    np.testing.assert_array_equal(align(view, kps), align(view.copy(), kps))


def test_align_of_no_face_is_empty(noise_image: np.ndarray) -> None:
    assert align(noise_image, np.empty((0, 5, 2))).shape == (0, 112, 112, 3)


def test_align_of_coinciding_points_is_refused(noise_image: np.ndarray) -> None:
    with pytest.raises(DegenerateLandmarksError, match="coinciding"):
        align(noise_image, np.full((5, 2), 30.0))


@pytest.mark.parametrize(("kps", "error"), [(np.zeros((5, 3)), ShapeError), (np.full((5, 2), np.nan), NotFiniteError)])
def test_align_of_bad_points_is_refused(noise_image: np.ndarray, kps: np.ndarray, error: type[Exception]) -> None:
    with pytest.raises(error):
        align(noise_image, kps)
