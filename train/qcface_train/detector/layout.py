"""The detector's output layout: names, cells and the decoding of raw maps, in NumPy.

The layout is YuNet's [1]_: three levels of square cells in row-major order, four maps a level.

References
----------
.. [1] W. Wu, H. Peng, S. Yu, YuNet: A Tiny Millisecond-level Face Detector, Machine Intelligence Research 20, 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
KINDS = ("cls", "obj", "bbox", "kps")
CHANNELS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
OUTPUT_NAMES = tuple(f"{kind}_{stride}" for kind in KINDS for stride in STRIDES)


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces found in one picture, best score first."""

    scores: Floats
    """(N,) in [0, 1]."""
    boxes: Floats
    """(N, 4) xyxy in pixels, not clipped."""
    points: Floats
    """(N, 5, 2) xy in pixels: left eye, right eye, nose, left and right mouth corner as seen in the picture."""


@dataclass(frozen=True, slots=True)
class CellGrid:
    """All cells of a picture, level after level, row-major."""

    origin: Floats
    """(C, 2) column and row of each cell."""
    stride: Floats
    """(C,) pixels a cell."""

    @classmethod
    def of_size(cls, width: int, height: int) -> CellGrid:
        """Lay out the cells of a picture whose sides are multiples of 32."""
        origins, strides = [], []
        for stride in STRIDES:
            rows, columns = height // stride, width // stride
            ys, xs = np.mgrid[0:rows, 0:columns]
            origins.append(np.stack([xs.ravel(), ys.ravel()], axis=1))
            strides.append(np.full(rows * columns, stride))
        return cls(np.concatenate(origins).astype(np.float32), np.concatenate(strides).astype(np.float32))


def join_levels(outputs: Mapping[str, Floats]) -> dict[str, Floats]:
    """Concatenate the three levels of each kind: shapes (N, C, 1 | 4 | 10) by kind."""
    return {kind: np.concatenate([outputs[f"{kind}_{s}"] for s in STRIDES], axis=1) for kind in KINDS}


def scores_from_maps(cls: Floats, obj: Floats) -> Floats:
    """Return sqrt(cls * obj) with both clipped to [0, 1]."""
    product: Floats = np.clip(cls, 0.0, 1.0) * np.clip(obj, 0.0, 1.0)
    return np.sqrt(product)


def decode_boxes(raw: Floats, origin: Floats, stride: Floats) -> Floats:
    """Turn raw (C, 4) box values into xyxy pixels."""
    centre = (origin + raw[:, :2]) * stride[:, None]
    half = np.exp(raw[:, 2:]) * stride[:, None] / 2
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def encode_boxes(boxes: Floats, origin: Floats, stride: Floats) -> Floats:
    """Turn xyxy pixel boxes into the raw values that `decode_boxes` undoes."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride[:, None] - origin
    size = np.log((boxes[:, 2:] - boxes[:, :2]) / stride[:, None])
    return np.concatenate([centre, size], axis=1).astype(np.float32)


def decode_points(raw: Floats, origin: Floats, stride: Floats) -> Floats:
    """Turn raw (C, 10) point values into (C, 5, 2) xy pixels."""
    points: Floats = (raw.reshape(-1, 5, 2) + origin[:, None]) * stride[:, None, None]
    return points


def iou_matrix(first: Floats, second: Floats) -> Floats:
    """Intersection over union of every box of `first` (N, 4) with every box of `second` (M, 4), xyxy: (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area_first = (first[:, 2:] - first[:, :2]).prod(axis=1)
    area_second = (second[:, 2:] - second[:, :2]).prod(axis=1)
    union = area_first[:, None] + area_second[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def suppress(scores: Floats, boxes: Floats, iou_threshold: float) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression; return the kept indices, best score first."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[iou_matrix(boxes[best : best + 1], boxes[order])[0] <= iou_threshold]
    return np.array(kept, np.intp)


def decode(
    outputs: Mapping[str, Floats], size_wh: tuple[int, int], *, score_threshold: float, iou_threshold: float = 0.3
) -> Detections:
    """Decode the maps of one picture.

    Parameters
    ----------
    outputs : mapping of str to ndarray of float32, shape (1, cells, channels)
        The twelve maps by output name.
    size_wh : tuple of int
        Width and height of the network's input, in pixels.
    score_threshold : float
        Lowest score that is kept.
    iou_threshold : float, default 0.3
        Of two boxes that overlap more, only the better one is kept.

    Returns
    -------
    Detections
        Best score first.
    """
    maps = join_levels(outputs)
    grid = CellGrid.of_size(*size_wh)
    scores = scores_from_maps(maps["cls"][0, :, 0], maps["obj"][0, :, 0])
    hot = np.flatnonzero(scores >= score_threshold)
    origin, stride = grid.origin[hot], grid.stride[hot]
    boxes = decode_boxes(maps["bbox"][0, hot], origin, stride)
    kept = suppress(scores[hot], boxes, iou_threshold)
    points = decode_points(maps["kps"][0, hot[kept]], origin[kept], stride[kept])
    return Detections(scores[hot][kept], boxes[kept], points)
