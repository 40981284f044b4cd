"""Raw maps decode to what they encode; suppression keeps the best."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_train.detector.layout import (
    CHANNELS,
    KINDS,
    STRIDES,
    CellGrid,
    decode,
    decode_boxes,
    encode_boxes,
    iou_matrix,
    suppress,
)


def empty_maps(width: int, height: int) -> dict[str, np.ndarray]:
    return {
        f"{kind}_{stride}": np.zeros((1, (width // stride) * (height // stride), CHANNELS[kind]), np.float32)
        for kind in KINDS
        for stride in STRIDES
    }


@given(
    x=st.floats(0, 200), y=st.floats(0, 200), width=st.floats(4, 300), height=st.floats(4, 300), cell=st.integers(0, 83)
)
def test_decode_boxes_of_encoded_box_gives_it_back(x: float, y: float, width: float, height: float, cell: int) -> None:
    grid = CellGrid.of_size(64, 64)
    box = np.array([[x, y, x + width, y + height]], np.float32)
    origin, stride = grid.origin[cell : cell + 1], grid.stride[cell : cell + 1]
    np.testing.assert_allclose(decode_boxes(encode_boxes(box, origin, stride), origin, stride), box, atol=1e-2)


def test_of_size_wide_picture_lists_cells_row_by_row() -> None:
    grid = CellGrid.of_size(96, 32)
    assert len(grid.stride) == 12 * 4 + 6 * 2 + 3
    np.testing.assert_array_equal(grid.origin[:13], [[x, 0] for x in range(12)] + [[0, 1]])
    np.testing.assert_array_equal(grid.origin[-3:], [[0, 0], [1, 0], [2, 0]])


def test_decode_one_hot_cell_gives_worked_out_face() -> None:
    maps = empty_maps(96, 64)
    cell = 2 * 6 + 3  # row 2, column 3 of the stride-16 level, which is 6 cells wide
    maps["cls_16"][0, cell], maps["obj_16"][0, cell] = 0.81, 1.0
    maps["bbox_16"][0, cell] = [0.5, -0.25, np.log(2.0), np.log(3.0)]
    maps["kps_16"][0, cell] = np.arange(10) / 10
    found = decode(maps, (96, 64), score_threshold=0.5)
    np.testing.assert_allclose(found.scores, [0.9], rtol=1e-6)
    # centre (3.5, 1.75) * 16 = (56, 28), size (32, 48)
    np.testing.assert_allclose(found.boxes, [[40, 4, 72, 52]], rtol=1e-5)
    np.testing.assert_allclose(found.points[0, 1], [(3 + 0.2) * 16, (2 + 0.3) * 16], rtol=1e-5)


def test_decode_scores_outside_unit_range_are_clipped() -> None:
    maps = empty_maps(32, 32)
    maps["cls_8"][0, 5], maps["obj_8"][0, 5] = 4.0, 4.0
    maps["cls_8"][0, 6], maps["obj_8"][0, 6] = -1.0, -1.0
    assert decode(maps, (32, 32), score_threshold=0.5).scores.tolist() == [1.0]


def test_iou_matrix_of_shifted_squares_is_a_third() -> None:
    first = np.array([[0, 0, 10, 10]], np.float32)
    second = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    np.testing.assert_allclose(iou_matrix(first, second), [[1 / 3, 0, 1]], rtol=1e-6)


def test_suppress_overlapping_keeps_best_and_orders() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    assert suppress(np.array([0.6, 0.9, 0.7], np.float32), boxes, 0.3).tolist() == [1, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_suppress_few_boxes_keeps_all(count: int) -> None:
    boxes = np.zeros((count, 4), np.float32)
    assert len(suppress(np.ones(count, np.float32), boxes, 0.3)) == count
