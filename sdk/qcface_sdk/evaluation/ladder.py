"""The one degradation ladder: seven kinds of damage in six rising levels, the same for training, tests and reports.

Every level is defined on the aligned 112 x 112 crop, so that a figure measured on it means the same everywhere. What a
face's levels share (the noise pattern, the direction of motion, the place and colour of the occluder) hangs on the seed
and the kind alone, never on the level: climbing the ladder makes one damage stronger and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_choice
from qcface_sdk.errors import OptionError, ShapeError

SIDE = 112
"""Pixels: side of the aligned crop."""

LADDER_SEED = 20251017
"""Face number i of an evaluation set is damaged with seed ``LADDER_SEED + i``."""

LADDER: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "blur": (0.8, 1.2, 1.8, 2.7, 4.0, 6.0),
        "size": (80, 56, 40, 28, 20, 14),
        "noise": (6, 12, 20, 32, 48, 72),
        "dark": (1, 2, 3, 4, 5, 6),
        "jpeg": (60, 40, 25, 15, 8, 4),
        "motion": (3, 5, 8, 12, 17, 24),
        "occlusion": (0.06, 0.12, 0.20, 0.30, 0.42, 0.56),
    }
)
"""Parameter of levels 1 to 6 of each kind, mildest first; units in `UNITS`. Level 0 is the clean crop."""

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "blur": "standard deviation of a Gaussian, pixels",
        "size": "side of the crop after area down-sampling, pixels; enlarged again bilinearly",
        "noise": "standard deviation of Gaussian noise per channel, grey levels",
        "dark": "stops of under-exposure in linear light (gamma 2.2), plus noise of half a grey level per stop",
        "jpeg": "JPEG quality, 4:2:0",
        "motion": "length of a straight movement, pixels",
        "occlusion": "share of the crop under a rectangle of one colour",
    }
)
"""What the numbers in `LADDER` are."""

KINDS: tuple[str, ...] = tuple(LADDER)
"""Names of the kinds, in the order of every report."""

LEVELS = 6
"""Damaged levels of each kind; with the clean crop a ladder has ``LEVELS + 1`` rungs."""

Crop = NDArray[np.uint8]
_GAMMA = 2.2


def degrade(crop: Crop, kind: str, level: int, *, seed: int) -> Crop:
    """Return a damaged copy of one aligned crop.

    Parameters
    ----------
    crop : ndarray of uint8, shape (112, 112, 3)
        BGR. Not modified.
    kind : str
        One of `KINDS`.
    level : int
        0 (unchanged copy) to `LEVELS` (worst).
    seed : int
        Not negative. Fixes what is random; the same seed and kind give the same pattern at every level.

    Returns
    -------
    ndarray of uint8, shape (112, 112, 3)
        BGR.

    Raises
    ------
    ShapeError
        If `crop` has another shape or dtype.
    OptionError
        If `kind` is unknown, or `level` or `seed` out of range.

    Notes
    -----
    Equal inputs give equal bytes with one build of NumPy and OpenCV; another OpenCV may differ by its JPEG coder and
    its rounding.

    Examples
    --------
    >>> clean = np.full((112, 112, 3), 128, np.uint8)
    >>> int(degrade(clean, "dark", 6, seed=1).mean()) < 30
    True
    """
    if not isinstance(crop, np.ndarray) or crop.shape != (SIDE, SIDE, 3) or crop.dtype != np.uint8:
        came = f"{crop.dtype} {crop.shape}" if isinstance(crop, np.ndarray) else type(crop).__name__
        wanted = f"crop must be BGR uint8 of shape ({SIDE}, {SIDE}, 3)"
        raise ShapeError(f"{wanted}, got {came}; use engine.align(image, kps)")
    check_choice("kind", kind, KINDS)
    if isinstance(level, bool) or not isinstance(level, (int, np.integer)) or not 0 <= level <= LEVELS:
        raise OptionError(f"level must be a whole number from 0 to {LEVELS}, got {level!r}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise OptionError(f"seed must be a whole number of at least 0, got {seed!r}")
    if level == 0:
        return np.array(crop)
    rng = np.random.default_rng([int(seed), KINDS.index(kind)])
    return _DAMAGE[kind](np.ascontiguousarray(crop), LADDER[kind][level - 1], rng)


def climb(crop: Crop, kind: str, *, seed: int) -> Crop:
    """Return all rungs of one kind for one crop, the clean one first.

    Returns
    -------
    ndarray of uint8, shape (LEVELS + 1, 112, 112, 3)
        BGR.

    Raises
    ------
    ShapeError, OptionError
        As `degrade`.
    """
    return np.stack([degrade(crop, kind, level, seed=seed) for level in range(LEVELS + 1)])


def _to_uint8(values: NDArray[np.float32]) -> Crop:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _blur(crop: Crop, sigma: float, rng: np.random.Generator) -> Crop:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def _shrink(crop: Crop, side: float, rng: np.random.Generator) -> Crop:
    small = cv2.resize(crop, (int(side), int(side)), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.uint8)


def _add_noise(crop: Crop, sigma: float, rng: np.random.Generator) -> Crop:
    return _with_noise(crop.astype(np.float32), sigma, rng)


def _with_noise(crop: NDArray[np.float32], sigma: float, rng: np.random.Generator) -> Crop:
    return _to_uint8(crop + np.float32(sigma) * rng.standard_normal(crop.shape, dtype=np.float32))


def _darken(crop: Crop, stops: float, rng: np.random.Generator) -> Crop:
    # Light falls by 2^-stops; the encoded value, light^(1/gamma), by 2^(-stops/gamma).
    dimmed = crop * np.float32(2.0 ** (-stops / _GAMMA))
    return _with_noise(dimmed.astype(np.float32), 0.5 * stops, rng)


def _compress(crop: Crop, quality: float, rng: np.random.Generator) -> Crop:
    _, data = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _move(crop: Crop, length: float, rng: np.random.Generator) -> Crop:
    angle = rng.uniform(0.0, np.pi)
    steps = np.linspace(-(length - 1) / 2, (length - 1) / 2, 4 * int(length) + 1)
    half = int(length) // 2 + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    # Sub-pixel positions along the path are spread bilinearly, so that every direction moves equally far.
    for x, y in zip(half + steps * np.cos(angle), half + steps * np.sin(angle), strict=True):
        column, row = int(x), int(y)
        right, down = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer([1 - down, down], [1 - right, right])
    blurred = cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.uint8)


def _occlude(crop: Crop, share: float, rng: np.random.Generator) -> Crop:
    # The place is a fraction of the free margin, so that a larger rectangle always contains the smaller one.
    left, top = rng.uniform(0.2, 0.8, size=2)
    colour = rng.integers(0, 256, size=3, dtype=np.uint8)
    side = round(SIDE * share**0.5)
    x, y = (round((SIDE - side) * float(at)) for at in (left, top))
    covered = np.array(crop)
    covered[y : y + side, x : x + side] = colour
    return covered


_DAMAGE: Mapping[str, Callable[[Crop, float, np.random.Generator], Crop]] = MappingProxyType(
    {
        "blur": _blur,
        "size": _shrink,
        "noise": _add_noise,
        "dark": _darken,
        "jpeg": _compress,
        "motion": _move,
        "occlusion": _occlude,
    }
)
