"""The detector kernels against NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from qcface_sdk._native import detect


def axis_matrix(source: int, target: int) -> NDArray[np.float64]:
    """Weights of each source coordinate in each target coordinate, shape (target, source), by definition."""
    ratio = source / target
    s, i = np.arange(source)[None, :], np.arange(target)[:, None]
    if 2 * target <= source:
        return np.maximum(np.minimum((i + 1) * ratio, s + 1) - np.maximum(i * ratio, s), 0.0) / ratio
    x = np.clip((i + 0.5) * ratio - 0.5, 0.0, source - 1.0)
    return np.maximum(1.0 - np.abs(x - s), 0.0)


def letterboxed(image: NDArray[np.uint8], new_wh: tuple[int, int], out_wh: tuple[int, int]) -> NDArray[np.float32]:
    out = np.full((3, out_wh[1], out_wh[0]), np.nan, dtype=np.float32)
    detect.letterbox(image, out, *new_wh)
    return out


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    new_w=st.integers(1, 70),
    new_h=st.integers(1, 70),
    margin=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_letterbox_any_size_equals_numpy(
    height: int, width: int, new_w: int, new_h: int, margin: tuple[int, int]
) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    out = letterboxed(image, (new_w, new_h), (new_w + margin[0], new_h + margin[1]))
    wanted = np.zeros(out.shape)
    rows, columns = axis_matrix(height, new_h), axis_matrix(width, new_w)
    wanted[:, :new_h, :new_w] = np.einsum("ys,stc,xt->cyx", rows, image.astype(np.float64), columns)
    np.testing.assert_allclose(out, wanted, atol=1e-3)


@pytest.mark.parametrize(
    ("new_wh", "interpolation"),
    [((100, 75), cv2.INTER_AREA), ((133, 66), cv2.INTER_AREA), ((250, 201), cv2.INTER_LINEAR)],
    ids=["a quarter, whole ratio", "about a third", "more than a half"],
)
def test_letterbox_equals_opencv(rng: np.random.Generator, new_wh: tuple[int, int], interpolation: int) -> None:
    image = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    wanted = cv2.resize(image.astype(np.float32), new_wh, interpolation=interpolation).transpose(2, 0, 1)
    np.testing.assert_allclose(letterboxed(image, new_wh, new_wh), wanted, atol=0.05)


def test_letterbox_strided_rows_equal_a_copy(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (100, 140, 3), dtype=np.uint8)
    for view in (frame[5:90, 13:120], frame[::-1]):
        copy = np.ascontiguousarray(view)
        np.testing.assert_array_equal(letterboxed(view, (40, 30), (64, 32)), letterboxed(copy, (40, 30), (64, 32)))


def test_letterbox_same_size_returns_the_picture(rng: np.random.Generator) -> None:
    image = rng.integers(0, 256, (21, 34, 3), dtype=np.uint8)
    np.testing.assert_array_equal(letterboxed(image, (34, 21), (34, 21)), image.transpose(2, 0, 1))


def heads(rng: np.random.Generator, cells: int) -> tuple[NDArray[np.float32], ...]:
    cls, obj = rng.uniform(-0.3, 1.3, (2, cells)).astype(np.float32)
    return cls, obj, rng.normal(0, 1, 4 * cells).astype(np.float32), rng.normal(0, 1, 10 * cells).astype(np.float32)


def decoded(outputs: tuple[NDArray[np.float32], ...], cols: int, stride: int, threshold: float) -> NDArray[np.float64]:
    """Decode in double precision, by YuNet's layout."""
    cls, obj, bbox, kps = (array.astype(np.float64) for array in outputs)
    score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
    cells = np.nonzero(score >= threshold)[0]
    corner = np.stack([cells % cols, cells // cols], axis=1)
    box, points = bbox.reshape(-1, 4)[cells], kps.reshape(-1, 5, 2)[cells]
    centre, half = (corner + box[:, :2]) * stride, np.exp(box[:, 2:]) * stride / 2
    points = ((corner[:, None] + points) * stride).reshape(-1, 10)
    return np.concatenate([centre - half, centre + half, points, score[cells, None]], axis=1)


@pytest.mark.parametrize("cells_cols", [(1, 1), (31, 31), (64, 8), (1600, 40)], ids=str)
@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.95])
def test_decode_equals_numpy(rng: np.random.Generator, cells_cols: tuple[int, int], threshold: float) -> None:
    cells, cols = cells_cols
    outputs = heads(rng, cells)
    rows = np.full((cells + 3, 15), -1.0, dtype=np.float32)
    count = detect.decode(*outputs, cols, 16, threshold, rows, 2)
    wanted = decoded(outputs, cols, 16, threshold)
    assert count == 2 + len(wanted)
    np.testing.assert_allclose(rows[2:count], wanted, rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(rows[:2], -1.0)


def test_decode_full_output_stops_at_the_last_row(rng: np.random.Generator) -> None:
    outputs = heads(rng, 400)
    rows = np.full((12, 15), -1.0, dtype=np.float32)
    assert detect.decode(*outputs, 20, 8, 0.1, rows[:10], 0) == 10
    np.testing.assert_array_equal(rows[10:], -1.0)
    assert detect.decode(*outputs, 20, 8, 0.1, rows[:10], 10) == 10


@pytest.mark.parametrize("where", [0, 1, 2, 3], ids=["cls", "obj", "bbox", "kps"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_decode_not_finite_cell_is_left_out(rng: np.random.Generator, where: int, value: float) -> None:
    cls, obj = (np.full(40, 0.9, dtype=np.float32) for _ in range(2))
    outputs = (cls, obj, np.zeros(160, dtype=np.float32), np.zeros(400, dtype=np.float32))
    outputs[where][7 * (1, 1, 4, 10)[where]] = value
    rows = np.empty((40, 15), dtype=np.float32)
    # An infinite score is clipped to one like any other that is too large.
    lost = 0 if where < 2 and np.isinf(value) else 1
    assert detect.decode(*outputs, 8, 8, 0.5, rows, 0) == 40 - lost
    assert np.isfinite(rows[: 40 - lost]).all()


def suppressed(rows: NDArray[np.float32], threshold: float) -> list[int]:
    """Greedy suppression by definition, box by box."""
    keep: list[int] = []
    for i in sorted(range(len(rows)), key=lambda i: (-rows[i, 14], i)):
        if all(overlap(rows[i], rows[j]) <= threshold for j in keep):
            keep.append(i)
    return keep


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    w = max(0.0, float(min(a[2], b[2]) - max(a[0], b[0])))
    h = max(0.0, float(min(a[3], b[3]) - max(a[1], b[1])))
    union = float((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - w * h
    return w * h / union if union > 0 else 0.0


def random_rows(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = np.zeros((count, 15), dtype=np.float32)
    rows[:, :2] = rng.integers(0, 40, (count, 2))
    rows[:, 2:4] = rows[:, :2] + rng.integers(0, 30, (count, 2))
    rows[:, 14] = rng.integers(0, 8, count) / 8
    return rows


def kept(rows: NDArray[np.float32], threshold: float) -> list[int]:
    keep = np.empty(len(rows), dtype=np.int32)
    return [int(i) for i in keep[: detect.nms(rows, threshold, keep)]]


@given(count=st.integers(0, 60), threshold=st.sampled_from([0.0, 0.3, 0.52, 1.0]), seed=st.integers(0, 1000))
def test_nms_equals_definition(count: int, threshold: float, seed: int) -> None:
    rows = random_rows(np.random.default_rng(seed), count)
    assert kept(rows, threshold) == suppressed(rows, threshold)


def test_nms_equal_scores_keep_the_lower_row() -> None:
    rows = np.tile(random_rows(np.random.default_rng(1), 1) + 1, (5, 1)).astype(np.float32)
    rows[:, 2:4] = rows[:, :2] + 10
    assert kept(rows, 0.3) == [0]


def test_nms_nan_scores_come_last() -> None:
    rows = np.zeros((4, 15), dtype=np.float32)
    rows[:, 0] = rows[:, 1] = np.arange(4) * 100
    rows[:, 2:4] = rows[:, :2] + 10
    rows[:, 14] = (np.nan, 0.2, np.nan, 0.9)
    assert kept(rows, 0.3) == [3, 1, 0, 2]
