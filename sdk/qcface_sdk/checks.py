"""The only argument validation of the SDK.

Called once, at the public border; inside, code trusts its arguments and the native kernels check nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import ImageSizeError, NotFiniteError, OptionError, ShapeError

MIN_IMAGE_SIDE = 16
"""Pixels. Below this no face can be found, let alone recognised."""

MAX_IMAGE_PIXELS = 64_000_000
"""8000 x 8000. More is a mistake or an attack: the resized copies would be bounded, the frame itself is not."""

_GREY_HINT = "convert with cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
_BGRA_HINT = "convert with cv2.cvtColor(image, cv2.COLOR_BGRA2BGR)"
_WANTED_IMAGE = "image must be BGR uint8 of shape (H, W, 3)"


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return type(value).__name__


def check_image(image: Any) -> NDArray[np.uint8]:
    """Return `image` unchanged if it is BGR uint8 (H, W, 3) with contiguous pixels, of a sensible size."""
    if not isinstance(image, np.ndarray):
        raise ShapeError(
            f"{_WANTED_IMAGE}, got {_describe(image)}; pass a numpy array, e.g. from qcface_sdk.read_image"
        )
    if image.ndim == 2:
        raise ShapeError(f"{_WANTED_IMAGE}, got a grey picture {_describe(image)}; {_GREY_HINT}")
    if image.ndim == 3 and image.shape[2] == 4:
        raise ShapeError(f"{_WANTED_IMAGE}, got four channels {_describe(image)}; {_BGRA_HINT}")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ShapeError(f"{_WANTED_IMAGE}, got {_describe(image)}; see README, Conventions")
    if image.dtype != np.uint8:
        raise ShapeError(f"{_WANTED_IMAGE}, got {_describe(image)}; scale to 0..255 and convert with .astype(np.uint8)")
    height, width = image.shape[:2]
    if min(height, width) < MIN_IMAGE_SIDE:
        raise ImageSizeError(
            f"image must be at least {MIN_IMAGE_SIDE} pixels on each side, got {width} x {height}; "
            "pass the whole frame rather than a crop"
        )
    if height * width > MAX_IMAGE_PIXELS:
        raise ImageSizeError(
            f"image must have at most {MAX_IMAGE_PIXELS:,} pixels, got {width} x {height}; resize it first"
        )
    if image.strides[2] != 1 or image.strides[1] != 3 or image.strides[0] < 3 * width:
        raise ShapeError(
            f"image must have contiguous BGR pixels, got strides {image.strides} (a flipped, transposed or "
            "channel-reversed view?); pass np.ascontiguousarray(image)"
        )
    return image


def check_crops(crops: Any, side: int) -> NDArray[np.uint8]:
    """Return aligned crops as a C-contiguous uint8 array (N, side, side, 3)."""
    wanted = f"crops must be aligned BGR uint8 of shape (N, {side}, {side}, 3)"
    if isinstance(crops, Sequence) and not isinstance(crops, (str, bytes)):
        crops = np.stack([np.asarray(crop) for crop in crops]) if crops else np.empty((0, side, side, 3), np.uint8)
    if not isinstance(crops, np.ndarray):
        raise ShapeError(f"{wanted}, got {_describe(crops)}; use engine.align(image, kps)")
    if crops.ndim == 3:
        raise ShapeError(f"{wanted}, got one crop {_describe(crops)}; pass crops[None]")
    if crops.dtype != np.uint8:
        if np.issubdtype(crops.dtype, np.floating) and not np.isfinite(crops).all():
            raise NotFiniteError(f"{wanted}, got {_describe(crops)} with NaN or infinity; check what made the crops")
        raise ShapeError(f"{wanted}, got {_describe(crops)}; scale to 0..255 and convert with .astype(np.uint8)")
    if crops.ndim != 4 or crops.shape[1:] != (side, side, 3):
        raise ShapeError(f"{wanted}, got {_describe(crops)}; use engine.align(image, kps)")
    return np.ascontiguousarray(crops)


def check_landmarks(kps: Any) -> NDArray[np.float32]:
    """Return landmarks as a C-contiguous float32 array (N, 5, 2); one face may be passed as (5, 2)."""
    wanted = "kps must be numbers of shape (N, 5, 2) or (5, 2), (x, y) in pixels"
    try:
        points = np.ascontiguousarray(kps, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{wanted}, got {_describe(kps)}") from error
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or points.shape[1:] != (5, 2):
        raise ShapeError(f"{wanted}, got shape {np.shape(kps)}; pass face.kps")
    if not np.isfinite(points).all():
        raise NotFiniteError(f"{wanted}, got NaN or infinity; drop that face")
    return points


def check_embeddings(embeddings: Any, dimension: int | None = None) -> NDArray[np.float32]:
    """Return embeddings as a C-contiguous float32 array (N, D), all finite."""
    wanted = f"embeddings must be floats of shape (N, {dimension or 'D'})"
    try:
        # A float64 beyond float32 becomes infinity, which is refused below; NumPy's warning would come on top.
        with np.errstate(over="ignore"):
            rows = np.ascontiguousarray(embeddings, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{wanted}, got {_describe(embeddings)}") from error
    if rows.ndim != 2 or rows.shape[1] == 0 or (dimension is not None and rows.shape[1] != dimension):
        raise ShapeError(f"{wanted}, got shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise NotFiniteError(f"{wanted}, got NaN or infinity; the face that gave it must not be used")
    return rows


def check_positive_int(name: str, value: Any) -> int:
    """Return `value` if it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)


def check_positive(name: str, value: Any) -> float:
    """Return `value` as a float if it is finite and above 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise OptionError(f"{name} must be a number above 0, got {value!r}")
    if not math.isfinite(value) or value <= 0:
        raise OptionError(f"{name} must be a finite number above 0, got {value!r}")
    return float(value)


def check_fraction(name: str, value: Any) -> float:
    """Return `value` as a float if it lies strictly between 0 and 1."""
    number = check_positive(name, value)
    if number >= 1:
        raise OptionError(f"{name} must lie between 0 and 1, got {value!r}")
    return number


def check_threshold(name: str, value: Any) -> float:
    """Return `value` as a float if it is a finite similarity in -1..1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise OptionError(f"{name} must be a number in -1..1, got {value!r}")
    if not math.isfinite(value) or not -1 <= value <= 1:
        raise OptionError(f"{name} must be a finite similarity in -1..1, got {value!r}; see engine.threshold(fmr)")
    return float(value)


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return `value` if it is one of `choices`."""
    known = tuple(choices)
    if value not in known:
        raise OptionError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    return str(value)
