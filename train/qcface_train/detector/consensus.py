"""Steadier landmarks: the teacher's points for a face wander with scale, so ask it many times and take the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from qcface_train.detector.augmentation import FLIPPED_POINTS
from qcface_train.detector.data import Photo, Picture
from qcface_train.detector.distillation import Teacher
from qcface_train.detector.layout import (
    CellGrid,
    Floats,
    decode_boxes,
    decode_points,
    iou_matrix,
    join_levels,
    scores_from_maps,
)

SCALES = (0.5, 0.7, 0.85, 1.0, 1.2, 1.45, 1.75, 2.1)
FACE_RANGE = (20.0, 280.0)
"""Shorter side, in pixels after scaling, for which an opinion counts."""
LEAST_OPINIONS = 4
LABEL_VOTES = 2
"""The label was found at the photo's full size and counts as this many opinions."""
LEAST_SCORE = 0.4


def consensus_points(teacher: Teacher, photo: Photo, label_votes: int = LABEL_VOTES) -> Floats:
    """Return the median of many opinions about each face's points.

    Parameters
    ----------
    teacher : Teacher
        Asked at eight scales, mirrored and not.
    photo : Photo
        Its labelled boxes say which faces.
    label_votes : int, default 2
        How many opinions the label's own points count as.

    Returns
    -------
    ndarray of float32, shape (N, 5, 2)
        The label's points where fewer than four opinions agree with the box.
    """
    opinions: list[list[Floats]] = [[] for _ in photo.boxes]
    sides = (photo.boxes[:, 2:] - photo.boxes[:, :2]).min(axis=1)
    for scale in SCALES:
        counts = (sides * scale > FACE_RANGE[0]) & (sides * scale < FACE_RANGE[1])
        if not counts.any():
            continue
        for mirrored in (False, True):
            for face, points in _opinions(teacher, photo, scale, mirrored=mirrored).items():
                if counts[face]:
                    opinions[face].append(points)
    result: Floats = photo.points.copy()
    for face, votes in enumerate(opinions):
        if len(votes) >= LEAST_OPINIONS:
            result[face] = np.median(np.stack([*votes, *[photo.points[face]] * label_votes]), axis=0)
    return result


def _opinions(teacher: Teacher, photo: Photo, scale: float, *, mirrored: bool) -> dict[int, Floats]:
    """Ask once; return the points of each labelled face that some cells agree with, in photo pixels."""
    height, width = photo.picture.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    boxes, points, scores = _cells(teacher, _resized(photo.picture, size, mirrored=mirrored))
    factor = np.array([size[0] / width, size[1] / height], np.float32)
    boxes = np.asarray(boxes / np.tile(factor, 2), np.float32)
    points = np.asarray((points + 0.5) / factor - 0.5, np.float32)
    if mirrored:
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
        points = np.stack([width - 1 - points[..., 0], points[..., 1]], axis=2)[:, FLIPPED_POINTS]
    agreeing = iou_matrix(boxes, photo.boxes) > 0.5
    result: dict[int, Floats] = {}
    for face in np.flatnonzero(agreeing.any(axis=0)):
        weight = scores[agreeing[:, face]] ** 2
        result[int(face)] = (points[agreeing[:, face]] * weight[:, None, None]).sum(axis=0) / weight.sum()
    return result


def _resized(picture: Picture, size_wh: tuple[int, int], *, mirrored: bool) -> Floats:
    """Return (1, 3, H, W) float32, padded right and below to multiples of 32."""
    source = np.ascontiguousarray(picture[:, ::-1] if mirrored else picture)
    method = cv2.INTER_AREA if size_wh[0] < picture.shape[1] else cv2.INTER_LINEAR
    resized = cv2.resize(source, size_wh, interpolation=method)
    padded = np.zeros((1, 3, -(-size_wh[1] // 32) * 32, -(-size_wh[0] // 32) * 32), np.float32)
    padded[0, :, : size_wh[1], : size_wh[0]] = resized.transpose(2, 0, 1)
    return padded


def _cells(teacher: Teacher, picture: Floats) -> tuple[Floats, Floats, Floats]:
    """Return boxes, points and scores of all cells that see a face."""
    maps = join_levels(teacher.maps(picture))
    grid = CellGrid.of_size(picture.shape[3], picture.shape[2])
    scores = scores_from_maps(maps["cls"][0, :, 0], maps["obj"][0, :, 0])
    hot = np.flatnonzero(scores > LEAST_SCORE)
    boxes = decode_boxes(maps["bbox"][0, hot], grid.origin[hot], grid.stride[hot])
    return boxes, decode_points(maps["kps"][0, hot], grid.origin[hot], grid.stride[hot]), scores[hot]


def with_consensus(
    teacher: Teacher, photos: Sequence[Photo], cache: Path | None = None, label_votes: int = LABEL_VOTES
) -> list[Photo]:
    """Return the photos with consensus points; `cache`, an .npz file, is read if it exists and written otherwise."""
    if cache is not None and cache.is_file():
        with np.load(cache) as stored:
            return [replace(photo, points=stored[photo.name]) for photo in photos]
    refined = [replace(photo, points=consensus_points(teacher, photo, label_votes)) for photo in photos]
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        scratch = cache.with_name("new-" + cache.name)
        np.savez(scratch, allow_pickle=False, **{photo.name: photo.points for photo in refined})
        scratch.replace(cache)
    return refined
