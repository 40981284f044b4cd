"""Training pictures: photos placed on a square canvas at many scales, and the damage that only the student sees."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from qcface_train.detector.data import Photo, Picture
from qcface_train.detector.layout import Floats

FLIPPED_POINTS = (1, 0, 2, 4, 3)
Matrix = npt.NDArray[np.float64]
Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 on the canvas."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One canvas with the faces that lie on it, in canvas pixels."""

    picture: Picture
    """BGR uint8 (S, S, 3), undamaged."""
    boxes: Floats
    """(N, 4) xyxy, not clipped to the canvas."""
    points: Floats
    """(N, 5, 2)."""
    visible: Floats
    """(N,) share of each box that lies on the canvas and in its photo's region."""
    scores: Floats
    """(N,) how sure each label is."""
    ignore: Floats
    """(M, 4)."""


@dataclass(frozen=True, slots=True)
class PhotoPool:
    """Photos sorted by what they can be used for; read-only."""

    faces: tuple[Photo, ...]
    """At least one labelled face."""
    close: tuple[Photo, ...]
    """A face of at least 60 pixels, which bears enlarging."""
    empty: tuple[Photo, ...]
    """No face and nothing to ignore."""

    @classmethod
    def from_photos(cls, photos: list[Photo]) -> PhotoPool:
        """Sort `photos`."""
        faces = tuple(photo for photo in photos if len(photo.boxes))
        close = tuple(photo for photo in faces if _shorter_sides(photo.boxes).max() >= 60)
        empty = tuple(photo for photo in photos if not len(photo.boxes) and not len(photo.ignore))
        return cls(faces, close or faces, empty)


def _shorter_sides(boxes: Floats) -> Floats:
    sides: Floats = (boxes[:, 2:] - boxes[:, :2]).min(axis=1)
    return sides


def compose(pool: PhotoPool, side: int, rng: np.random.Generator) -> Sample:
    """Draw one training canvas of `side` x `side` pixels: a close face, a mosaic, an empty scene or one photo."""
    canvas = np.zeros((side, side, 3), np.uint8)
    whole = (0, 0, side, side)
    kind = rng.choice(4, p=(0.13, 0.35, 0.08 if pool.empty else 0.0, 0.44 if pool.empty else 0.52))
    if kind == 0:
        parts = [_place(canvas, whole, _pick(pool.close, rng), rng, close=True)]
    elif kind == 1:
        parts = [_place(canvas, region, _pick_any(pool, rng), rng) for region in _mosaic_regions(side, rng)]
    elif kind == 2:
        parts = [_place(canvas, whole, _pick(pool.empty, rng), rng)]
    else:
        parts = [_place(canvas, whole, _pick(pool.faces, rng), rng)]
    return Sample(canvas, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _pick(photos: tuple[Photo, ...], rng: np.random.Generator) -> Photo:
    return photos[int(rng.integers(len(photos)))]


def _pick_any(pool: PhotoPool, rng: np.random.Generator) -> Photo:
    return _pick(pool.empty if pool.empty and rng.random() < 0.15 else pool.faces, rng)


def _mosaic_regions(side: int, rng: np.random.Generator) -> list[Region]:
    """Cut the canvas into 4 to 25 uneven regions: many tiles make many small faces."""
    tiles = int(rng.choice((2, 3, 4, 5), p=(0.4, 0.3, 0.2, 0.1)))
    inner = (np.arange(1, tiles)[None] + rng.uniform(-0.25, 0.25, (2, tiles - 1))) * side / tiles
    xs, ys = ([0, *(int(value) for value in cuts), side] for cuts in inner)
    return [(x0, y0, x1, y1) for y0, y1 in pairwise(ys) for x0, x1 in pairwise(xs)]


def _place(
    canvas: Picture, region: Region, photo: Photo, rng: np.random.Generator, *, close: bool = False
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Warp `photo` into `region`; return boxes, points, visible shares, scores and ignored boxes on the canvas."""
    x0, y0, x1, y1 = region
    size = np.array([x1 - x0, y1 - y0], np.float64)
    matrix, flipped, scale = _placement(photo, size, rng, close=close)
    colour = rng.integers(0, 256, 3).astype(np.float64) if rng.random() < 0.35 else np.zeros(3)
    patch = _warp(photo.picture, matrix, scale, (x1 - x0, y1 - y0), colour, smooth=rng.random() < 0.7)
    canvas[y0:y1, x0:x1] = patch
    matrix[:, 2] += (x0, y0)
    boxes, ignore = _move_boxes(photo.boxes, matrix, scale), _move_boxes(photo.ignore, matrix, scale)
    points = photo.points @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
    if flipped:
        points = points[:, FLIPPED_POINTS]
    return boxes, points, _visible_share(boxes, region), photo.scores, ignore


def _placement(photo: Photo, size: Matrix, rng: np.random.Generator, *, close: bool) -> tuple[Matrix, bool, float]:
    """Choose scale, turn, flip and shift; return the 2x3 matrix photo -> region, whether it flips, and the scale."""
    height, width = photo.picture.shape[:2]
    short = float(size.min())
    if len(photo.boxes):
        sides = _shorter_sides(photo.boxes)
        face = int(sides.argmax()) if close else int(rng.integers(len(sides)))
        box = photo.boxes[face]
        centre = (box[:2] + box[2:]) / 2
        if close:
            scale = float(rng.uniform(0.6, 0.95) * size[1] / (box[3] - box[1]))
        else:
            # Mostly no smaller than the region asks for: a stamp on black teaches little.
            least = max(8.0, 0.75 * short / max(width, height) * sides[face]) if rng.random() < 0.8 else 8.0
            largest = max(0.9 * short, least)
            scale = float(np.exp(rng.uniform(np.log(least), np.log(largest))) / sides[face])
    else:
        centre = rng.uniform(0.2, 0.8, 2) * (width, height)
        scale = float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))) * short / max(width, height))
    scale = float(np.clip(scale, 0.06, 5.0 if close else 3.0))
    turn = np.deg2rad(rng.uniform(-25, 25)) if rng.random() < 0.35 else 0.0
    flipped = bool(rng.random() < 0.5)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if flipped:
        linear[:, 0] *= -1
    target = size * (rng.uniform(0.4, 0.6, 2) if close else rng.uniform(0.08, 0.92, 2))
    shift = target - linear @ centre
    if rng.random() < 0.7:
        shift = _cover(shift, linear, (width, height), size)
    return np.concatenate([linear, shift[:, None]], axis=1), flipped, scale


def _cover(shift: Matrix, linear: Matrix, size_wh: tuple[int, int], region: Matrix) -> Matrix:
    """Move the photo so that, where it is large enough, it leaves no border."""
    corners = np.array([[0, 0], [size_wh[0], 0], [0, size_wh[1]], size_wh]) @ linear.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    least, most = region - high, -low  # shifts with which the photo covers the region
    covered = np.where(high - low >= region, np.clip(shift, np.minimum(least, most), np.maximum(least, most)), shift)
    return np.asarray(covered)


def _warp(
    picture: Picture, matrix: Matrix, scale: float, size_wh: tuple[int, int], colour: Matrix, *, smooth: bool
) -> Picture:
    """Warp bilinearly; when `smooth`, shrink by area first, as a camera does, instead of letting it alias."""
    if smooth and scale < 0.5:
        height, width = picture.shape[:2]
        small = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        step = np.array([width / small[0], height / small[1]])
        # Pixel centres: x_photo = (x_small + 0.5) * step - 0.5.
        shift = matrix[:, 2] + matrix[:, :2] @ (0.5 * step - 0.5)
        matrix = np.concatenate([matrix[:, :2] * step, shift[:, None]], axis=1)
    border = tuple(float(value) for value in colour)
    warped = cv2.warpAffine(
        picture, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=border
    )
    return np.asarray(warped, np.uint8)


def _move_boxes(boxes: Floats, matrix: Matrix, scale: float) -> Floats:
    """Move the centres and scale the sides: a turned face keeps the size of its box."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) * scale / 2
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def _visible_share(boxes: Floats, region: Region) -> Floats:
    low = np.maximum(boxes[:, :2], region[:2])
    high = np.minimum(boxes[:, 2:], region[2:])
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    shares: Floats = (np.clip(high - low, 0, None).prod(axis=1) / np.maximum(area, 1e-6)).astype(np.float32)
    return shares


def damage(picture: Picture, face_side: float, rng: np.random.Generator) -> Picture:
    """Return a darker, blurred, noisier or recompressed copy.

    Parameters
    ----------
    picture : ndarray of uint8, shape (H, W, 3)
        BGR; not modified.
    face_side : float
        Typical face side in pixels: the blur stays within a few per cent of it, so that faces remain faces.
    rng : numpy.random.Generator
        Source of chance.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    result = picture
    if rng.random() < 0.2:
        result = _blur(result, face_side, rng)
    if rng.random() < 0.5:
        result = _light(result, rng)
    if rng.random() < 0.25:
        noise = rng.standard_normal(result.shape, dtype=np.float32) * rng.uniform(1.0, 12.0)
        result = np.clip(result + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.08:
        grey = cv2.cvtColor(result, cv2.COLOR_BGR2GRAY)
        result = np.repeat(grey[:, :, None], 3, axis=2).astype(np.uint8)
    if rng.random() < 0.15:
        quality = int(rng.integers(25, 85))
        _, code = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    return result


def _light(picture: Picture, rng: np.random.Generator) -> Picture:
    """Change exposure, gamma and white balance through one table a channel; a quarter becomes really dark."""
    gain = float(np.exp(rng.uniform(np.log(0.08), np.log(0.5)))) if rng.random() < 0.25 else rng.uniform(0.5, 1.6)
    gamma = np.exp(rng.uniform(-0.35, 0.35))
    levels = (np.arange(256) / 255.0) ** gamma * gain * 255.0
    table = levels[:, None] * rng.uniform(0.85, 1.15, 3) + rng.uniform(-6, 10)
    return np.asarray(cv2.LUT(picture, np.clip(table, 0, 255).astype(np.uint8)[:, None]), np.uint8)


def _blur(picture: Picture, face_side: float, rng: np.random.Generator) -> Picture:
    """Blur by defocus or by motion, at most about a tenth of the face."""
    strength = float(np.clip(face_side, 10.0, 120.0))
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 0.3 + 0.05 * strength)), np.uint8)
    length = int(rng.integers(2, 3 + round(0.1 * strength)))
    kernel = np.zeros((2 * length + 1, 2 * length + 1), np.float32)
    turn = rng.uniform(0, np.pi)
    reach = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    start, end = (tuple(int(v) for v in np.rint(length + sign * reach)) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)
