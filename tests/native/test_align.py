"""The alignment kernels against NumPy in double precision and against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcface_sdk._native import align
from qcface_sdk.geometry import REFERENCE_POINTS

MEAN = np.array([127.5, 100.0, 0.0], dtype=np.float32)
SCALE = np.array([1 / 127.5, 0.5, 2.0], dtype=np.float32)
IDENTITY = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def similarities(kps: NDArray[np.float32]) -> NDArray[np.float64]:
    out = np.empty((len(kps), 2, 3))
    align.similarity_transforms(kps, REFERENCE_POINTS, out)
    return out


def umeyama(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Umeyama 1991, eq. 40-42, with the singular value decomposition."""
    from_mean, to_mean = source.mean(axis=0), target.mean(axis=0)
    u, d, vt = np.linalg.svd((target - to_mean).T @ (source - from_mean) / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / (source - from_mean).var(axis=0).sum()
    return np.column_stack([scale * rotation, to_mean - scale * rotation @ from_mean])


def sample(image: NDArray[np.uint8], transform: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Bilinear values of the crop, shape (side, side, 3); black outside the picture."""
    inverse = np.linalg.inv(np.vstack([transform, [0.0, 0.0, 1.0]]))
    y, x = np.mgrid[:side, :side]
    u, v = (inverse @ np.stack([x.ravel(), y.ravel(), np.ones(side * side)]))[:2]
    padded = np.zeros((image.shape[0] + 4, image.shape[1] + 4, 3))
    padded[2:-2, 2:-2] = image
    # One black pixel all around is all a sample can touch; farther out everything is black.
    u, v = np.clip(u, -1.5, image.shape[1] + 0.5) + 2, np.clip(v, -1.5, image.shape[0] + 0.5) + 2
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    fx, fy = (u - column)[:, None], (v - row)[:, None]
    top = (1 - fx) * padded[row, column] + fx * padded[row, column + 1]
    bottom = (1 - fx) * padded[row + 1, column] + fx * padded[row + 1, column + 1]
    return ((1 - fy) * top + fy * bottom).reshape(side, side, 3)


def similarity(scale: float, angle: float, x: float, y: float) -> NDArray[np.float64]:
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[a, -b, x], [b, a, y]])


def smooth_picture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.0))


def test_similarity_transforms_noisy_points_equal_umeyama(rng: np.random.Generator) -> None:
    kps = (REFERENCE_POINTS * 3 + rng.normal(0, 15, (40, 5, 2))).astype(np.float32)
    wanted = [umeyama(points.astype(np.float64), REFERENCE_POINTS.astype(np.float64)) for points in kps]
    np.testing.assert_allclose(similarities(kps), wanted, rtol=1e-9, atol=1e-9)


@given(
    scale=st.floats(0.1, 20),
    angle=st.floats(-3.14, 3.14),
    x=st.floats(-4000, 4000),
    y=st.floats(-4000, 4000),
)
def test_similarity_transforms_moved_template_is_moved_back(scale: float, angle: float, x: float, y: float) -> None:
    moved = REFERENCE_POINTS @ similarity(scale, angle, x, y)[:, :2].T + (x, y)
    transform = similarities(np.asarray(moved, dtype=np.float32)[None])[0]
    back = moved @ transform[:, :2].T + transform[:, 2]
    # The points were rounded to float32, at up to 7000 pixels: 5e-4, shrunk with the face.
    np.testing.assert_allclose(back, REFERENCE_POINTS, atol=1e-3 / scale + 1e-5)


@pytest.mark.parametrize(
    "points",
    [np.full((5, 2), 7.25), np.zeros((5, 2)), np.full((5, 2), np.nan), REFERENCE_POINTS * 1e9],
    ids=["one place", "zero", "nan", "larger than any picture"],
)
def test_similarity_transforms_degenerate_points_give_nan(points: NDArray[np.float64]) -> None:
    assert np.isnan(similarities(np.asarray(points, dtype=np.float32)[None])).any(axis=(1, 2)).all()


@given(
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    side=st.integers(1, 40),
    scale=st.floats(0.3, 4),
    angle=st.floats(-3.14, 3.14),
    shift=st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    swap=st.booleans(),
)
def test_warp_faces_any_size_equals_numpy(
    size: tuple[int, int], side: int, scale: float, angle: float, shift: tuple[float, float], swap: bool
) -> None:
    image = np.random.default_rng(size).integers(0, 256, (*size, 3), dtype=np.uint8)
    transform = similarity(scale, angle, *shift)
    out = np.empty((1, 3, side, side), dtype=np.float32)
    align.warp_faces(image, transform[None], out, MEAN, SCALE, swap)
    wanted = sample(image, transform, side)
    levels = out[0] / SCALE[:, None, None] + MEAN[:, None, None]
    # Row weights of 14 bits: 0.01 level; float32 places along the row: 0.02.
    np.testing.assert_allclose(levels.transpose(1, 2, 0), wanted[:, :, ::-1] if swap else wanted, atol=0.05)


def test_warp_faces_identity_returns_the_picture(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    out = np.empty((1, 3, 24, 24), dtype=np.float32)
    align.warp_faces(image, IDENTITY, out, np.zeros(3, np.float32), np.ones(3, np.float32), False)
    np.testing.assert_array_equal(out[0].transpose(1, 2, 0), image)


def test_warp_faces_strided_rows_equal_a_copy(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (120, 200, 3), dtype=np.uint8)
    transforms = np.stack([similarity(0.7, 0.3 * i, 20.0 - 9 * i, 12.0) for i in range(6)])
    for view in (frame[7:90, 11:150], frame[::-1], frame[::3, :77]):
        got, wanted = (np.empty((6, 3, 40, 40), dtype=np.float32) for _ in range(2))
        align.warp_faces(view, transforms, got, MEAN, SCALE, True)
        align.warp_faces(np.ascontiguousarray(view), transforms, wanted, MEAN, SCALE, True)
        np.testing.assert_array_equal(got, wanted)


def test_warp_faces_many_faces_equal_each_alone(rng: np.random.Generator) -> None:
    image = smooth_picture(rng, 90, 130)
    transforms = np.stack([similarity(0.5 + 0.2 * i, i, 5.0 * i, 3.0) for i in range(5)])
    together, alone = np.empty((5, 3, 48, 48), dtype=np.float32), np.empty((1, 3, 48, 48), dtype=np.float32)
    align.warp_faces(image, transforms, together, MEAN, SCALE, True)
    for i in range(5):
        align.warp_faces(image, transforms[i : i + 1], alone, MEAN, SCALE, True)
        np.testing.assert_array_equal(together[i], alone[0])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -1e12])
def test_warp_faces_transform_beyond_reason_gives_black(value: float) -> None:
    image = np.full((20, 20, 3), 200, dtype=np.uint8)
    transforms = np.array([[[1.0, 0.0, value], [0.0, 1.0, value]]])
    out = np.empty((1, 3, 16, 16), dtype=np.float32)
    align.warp_faces(image, transforms, out, np.zeros(3, np.float32), np.ones(3, np.float32), False)
    assert not out.any()


def test_warp_faces_u8_equals_opencv_within_two_levels(rng: np.random.Generator) -> None:
    image = smooth_picture(rng, 300, 400)
    transforms = np.stack([similarity(s, a, 20.0, -30.0) for s in (0.4, 1.0, 2.5) for a in (-1.0, 0.2, 2.0)])
    out = np.empty((len(transforms), 112, 112, 3), dtype=np.uint8)
    align.warp_faces_u8(image, transforms, out)
    for crop, transform in zip(out, transforms, strict=True):
        wanted = cv2.warpAffine(image, transform, (112, 112))
        # OpenCV may blend in fixed point, with places rounded to 1/32 pixel: up to two levels in a smooth picture.
        assert np.abs(crop.astype(int) - wanted).max() <= 2


def test_warp_faces_u8_rounds_half_up() -> None:
    image = np.zeros((4, 5, 3), dtype=np.uint8)
    image[:, 1::2] = 1
    out = np.empty((1, 3, 3, 3), dtype=np.uint8)
    align.warp_faces_u8(image, np.array([[[1.0, 0.0, -0.5], [0.0, 1.0, 0.0]]]), out)
    np.testing.assert_array_equal(out, 1)


@pytest.mark.parametrize("swap", [False, True])
def test_normalize_crops_equals_numpy(rng: np.random.Generator, swap: bool) -> None:
    crops = rng.integers(0, 256, (3, 17, 17, 3), dtype=np.uint8)
    out = np.empty((3, 3, 17, 17), dtype=np.float32)
    align.normalize_crops(crops, out, MEAN, SCALE, swap)
    ordered = crops[..., ::-1] if swap else crops
    np.testing.assert_array_equal(out, ((ordered.astype(np.float32) - MEAN) * SCALE).transpose(0, 3, 1, 2))


def test_align_no_faces_writes_nothing() -> None:
    image = np.full((4, 4, 3), 7, dtype=np.uint8)
    before = image.copy()
    none = np.empty((0, 2, 3))
    align.similarity_transforms(np.empty((0, 5, 2), np.float32), REFERENCE_POINTS, none)
    align.warp_faces(image, none, np.empty((0, 3, 8, 8), np.float32), MEAN, SCALE, True)
    align.warp_faces_u8(image, none, np.empty((0, 8, 8, 3), np.uint8))
    align.normalize_crops(np.empty((0, 8, 8, 3), np.uint8), np.empty((0, 3, 8, 8), np.float32), MEAN, SCALE, True)
    np.testing.assert_array_equal(image, before)
