"""Seeded augmentation of aligned crops: harmless changes, and seven kinds of damage that magnitude must learn to see.

What training never damages, the magnitude does not understand and may rank upside down. So every kind of the evaluation
ladder (blur, size, noise, dark, jpeg, motion, occlusion) is here, with continuous strengths that go a little past the
ladder's worst level, and often several kinds at once, in the order in which light, lens, sensor and coder cause them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

Crop = NDArray[np.uint8]

_GAMMA = 2.2


def augment(crop: Crop, rng: np.random.Generator, damage_share: float, worst: float) -> Crop:
    """Return a randomly changed copy of one RGB crop.

    Parameters
    ----------
    crop : ndarray of uint8, shape (S, S, 3)
        RGB. Not modified.
    rng : numpy.random.Generator
        All randomness comes from it: equal state, equal result.
    damage_share : float
        Probability, 0 to 1, that the crop is damaged at all.
    worst : float
        Largest strength of a damage, 0 to 1 (1 = a little beyond the evaluation ladder's last level).

    Returns
    -------
    ndarray of uint8, shape (S, S, 3)
        RGB.
    """
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
    if rng.random() < 0.6:
        crop = _shift(crop, rng)
    if rng.random() < 0.4:
        crop = _recolour(crop, rng)
    if rng.random() < damage_share:
        count = 1 + int(rng.random() < 0.35) + int(rng.random() < 0.12)
        chosen = rng.choice(len(DAMAGES), size=count, replace=False)
        for index in sorted(chosen):
            strength = worst * float(rng.random())
            crop = _DAMAGE_LIST[index](crop, strength, rng)
    return crop


def _shift(crop: Crop, rng: np.random.Generator) -> Crop:
    """Turn, zoom and move a little: what an imperfect landmark finder does."""
    side = crop.shape[0]
    turn, zoom = rng.normal(0, 4), math.exp(rng.normal(0, 0.05))
    matrix = np.asarray(cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn, zoom), np.float64)
    matrix[:, 2] += rng.normal(0, side * 0.018, 2)
    warped = cv2.warpAffine(crop, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _recolour(crop: Crop, rng: np.random.Generator) -> Crop:
    """Change gain, offset, gamma and colour balance, through one table a channel; sometimes drop the colour."""
    levels = np.linspace(0, 1, 256)
    gamma, gain, offset = math.exp(rng.normal(0, 0.2)), math.exp(rng.normal(0, 0.15)), rng.normal(0, 0.06)
    balance = np.exp(rng.normal(0, 0.05, 3))
    table = np.clip((levels[:, None] ** gamma * gain * balance + offset) * 255, 0, 255).astype(np.uint8)  # (256, 3)
    changed = cv2.LUT(crop, table[None])
    if rng.random() < 0.15:
        changed = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(changed, np.uint8)


def _between(mild: float, strong: float, strength: float) -> float:
    """Go from `mild` to `strong` in equal ratios as strength goes from 0 to 1."""
    return float(mild * (strong / mild) ** strength)


def _occlude(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    side = crop.shape[0]
    share = _between(0.03, 0.62, strength)
    ratio = math.exp(rng.normal(0, 0.35))
    width = min(side, round(side * math.sqrt(share * ratio)))
    height = min(side, round(side * math.sqrt(share / ratio)))
    x, y = round((side - width) * rng.random()), round((side - height) * rng.random())
    covered = crop.copy()
    if rng.random() < 0.25:
        patch = rng.integers(0, 256, (max(1, height // 8), max(1, width // 8), 3), np.uint8)
        covered[y : y + height, x : x + width] = cv2.resize(patch, (width, height)).reshape(height, width, 3)
    elif rng.random() < 0.3:
        colour = [int(value) for value in rng.integers(0, 256, 3)]
        centre, axes = (x + width // 2, y + height // 2), (max(1, width // 2), max(1, height // 2))
        cv2.ellipse(covered, centre, axes, 0, 0, 360, colour, -1)
    else:
        covered[y : y + height, x : x + width] = rng.integers(0, 256, 3, np.uint8)
    return np.asarray(covered, np.uint8)


def _with_noise(values: NDArray[np.float32], sigma: float, rng: np.random.Generator) -> Crop:
    noisy = values + np.float32(sigma) * rng.standard_normal(values.shape, dtype=np.float32)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def _darken(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    # Light falls by 2^-stops; the encoded value, light^(1/gamma), by 2^(-stops/gamma).
    stops = 0.3 + 6.2 * strength
    return _with_noise(crop * np.float32(2.0 ** (-stops / _GAMMA)), stops * rng.uniform(0.2, 0.9), rng)


def _move(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    length, angle = _between(2.0, 26.0, strength), rng.uniform(0, math.pi)
    half = int(length) // 2 + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    steps = np.linspace(-(length - 1) / 2, (length - 1) / 2, 3 * int(length) + 2)
    columns, rows = half + steps * math.cos(angle), half + steps * math.sin(angle)
    np.add.at(kernel, (np.rint(rows).astype(int), np.rint(columns).astype(int)), 1.0)
    return np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum()), np.uint8)


def _blur(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), _between(0.5, 6.5, strength)), np.uint8)


def _shrink(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    side = crop.shape[0]
    small_side = max(4, round(_between(0.9, 0.11, strength) * side))
    small = cv2.resize(crop, (small_side, small_side), interpolation=cv2.INTER_AREA)
    enlarge = cv2.INTER_LINEAR if rng.random() < 0.6 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (side, side), interpolation=enlarge), np.uint8)


def _add_noise(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    return _with_noise(crop.astype(np.float32), _between(3.0, 78.0, strength), rng)


def _compress(crop: Crop, strength: float, rng: np.random.Generator) -> Crop:
    quality = round(_between(85.0, 4.0, strength))
    _, data = cv2.imencode(".jpg", crop[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


DAMAGES: Mapping[str, Callable[[Crop, float, np.random.Generator], Crop]] = MappingProxyType(
    {
        "occlusion": _occlude,
        "dark": _darken,
        "motion": _move,
        "blur": _blur,
        "size": _shrink,
        "noise": _add_noise,
        "jpeg": _compress,
    }
)
"""Kinds of damage, in the order in which they happen to a picture; each takes crop, strength 0 to 1 and generator."""

_DAMAGE_LIST = tuple(DAMAGES.values())
