from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcface_sdk import checks
from qcface_sdk.errors import ImageSizeError, NotFiniteError, OptionError, ShapeError

FRAME = np.zeros((40, 60, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, ShapeError, "got NoneType"),
        ([[1, 2]], ShapeError, "got list"),
        (FRAME[..., 0], ShapeError, "COLOR_GRAY2BGR"),
        (np.zeros((40, 60, 4), np.uint8), ShapeError, "COLOR_BGRA2BGR"),
        (np.zeros((3, 40, 60), np.uint8), ShapeError, r"got uint8 \(3, 40, 60\)"),
        (FRAME.astype(np.float32), ShapeError, "got float32"),
        (np.zeros((0, 0, 3), np.uint8), ImageSizeError, "0 x 0"),
        (np.zeros((1, 1, 3), np.uint8), ImageSizeError, "1 x 1"),
        # a 20k x 20k frame without the memory: every pixel is the same one
        (np.broadcast_to(np.zeros(3, np.uint8), (20000, 20000, 3)), ImageSizeError, "20000 x 20000"),
        (FRAME[:, ::-1], ShapeError, "ascontiguousarray"),
        (FRAME[::-1], ShapeError, "ascontiguousarray"),
        (FRAME[..., ::-1], ShapeError, "ascontiguousarray"),
        (FRAME.transpose(1, 0, 2), ShapeError, "ascontiguousarray"),
        (np.zeros((40, 120, 3), np.uint8)[:, ::2], ShapeError, "ascontiguousarray"),
    ],
)
def test_check_image_of_something_else_says_what_to_do(image: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        checks.check_image(image)


def test_check_image_of_a_view_into_a_frame_is_not_copied() -> None:
    view = FRAME[5:35, 10:50]
    assert checks.check_image(view) is view


@pytest.mark.parametrize(
    ("crops", "error", "message"),
    [
        (np.zeros((112, 112, 3), np.uint8), ShapeError, r"crops\[None\]"),
        (np.zeros((2, 112, 112), np.uint8), ShapeError, "one crop|engine.align"),
        (np.zeros((2, 96, 96, 3), np.uint8), ShapeError, "engine.align"),
        (np.zeros((1, 112, 112, 3)), ShapeError, "astype"),
        (np.full((1, 112, 112, 3), np.nan), NotFiniteError, "NaN"),
        ("crops", ShapeError, "got str"),
    ],
)
def test_check_crops_of_something_else_says_what_to_do(crops: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        checks.check_crops(crops, 112)


def test_check_crops_takes_a_list_of_crops() -> None:
    assert checks.check_crops([np.zeros((112, 112, 3), np.uint8)] * 2, 112).shape == (2, 112, 112, 3)
    assert checks.check_crops([], 112).shape == (0, 112, 112, 3)


@pytest.mark.parametrize("kps", [np.zeros((5, 3)), np.zeros((1, 4, 2)), "points", [[1, 2], [3]]])
def test_check_landmarks_of_another_shape_is_refused(kps: Any) -> None:
    with pytest.raises(ShapeError, match="kps must be"):
        checks.check_landmarks(kps)


def test_check_landmarks_with_nan_is_refused() -> None:
    with pytest.raises(NotFiniteError, match="NaN"):
        checks.check_landmarks(np.full((5, 2), np.nan))


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", None])
def test_check_positive_int_of_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="threads must be a whole number of at least 1"):
        checks.check_positive_int("threads", value)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), "1", True])
def test_check_positive_of_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="min_face must be"):
        checks.check_positive("min_face", value)


@pytest.mark.parametrize("value", [1.0, 2, 0, -0.1, float("nan")])
def test_check_fraction_outside_0_1_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="fmr must"):
        checks.check_fraction("fmr", value)


@pytest.mark.parametrize("value", [1.01, -2, float("nan"), None, "0.3"])
def test_check_threshold_outside_the_cosine_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="threshold must be"):
        checks.check_threshold("threshold", value)


@pytest.mark.parametrize(
    ("rows", "error"),
    [(np.zeros(4), ShapeError), (np.full((1, 4), np.nan), NotFiniteError), (np.full((1, 4), 1e300), NotFiniteError)],
)
def test_check_embeddings_of_anything_else_is_refused(rows: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="embeddings must be floats"):
        checks.check_embeddings(rows)
