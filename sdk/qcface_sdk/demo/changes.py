"""Changed versions of a photograph: what distance, motion, night and tilted heads do to a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from qcface_sdk.demo.photographs import Image

_SEED = 20251017
_GAMMA = 2.2


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A photograph after one change."""

    name: str
    """What was done, a few words."""

    image: Image
    """BGR uint8 (H, W, 3)."""


def changed_versions(image: Image) -> Iterator[Change]:
    """Yield the photograph itself, then its changed versions, each kind from mild to harsh; always the same."""
    yield Change("The same photograph", image)
    yield Change("Mirrored", np.ascontiguousarray(image[:, ::-1]))
    for degrees in (10, 20, 35):
        yield Change(f"Rotated by {degrees} degrees", _rotated(image, degrees))
    for divisor in (2, 3, 4):
        yield Change(f"{divisor} times smaller", _smaller(image, divisor))
    for sigma in (2, 4, 7):
        yield Change(f"Blurred, sigma {sigma} px", np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8))
    for stops in (2, 4, 6):
        yield Change(f"1/{2**stops} of the light", _darker(image, stops))
    for length in (9, 21):
        yield Change(f"Moved by {length} px", np.asarray(cv2.blur(image, (length, 1)), np.uint8))
    yield Change("JPEG of quality 5", _compressed(image, 5))
    yield Change("Noise, sigma 40", _noisy(image, 40.0))


def _rotated(image: Image, degrees: float) -> Image:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def _smaller(image: Image, divisor: int) -> Image:
    size = (image.shape[1] // divisor, image.shape[0] // divisor)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _compressed(image: Image, quality: int) -> Image:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _noisy(image: Image, sigma: float) -> Image:
    noise = np.random.default_rng(_SEED).normal(0.0, sigma, image.shape)
    return np.asarray(np.clip(np.rint(image + noise), 0, 255), np.uint8)


def _darker(image: Image, stops: int) -> Image:
    """Take away light in linear terms, then add the noise of a camera that sees little."""
    noise = np.random.default_rng(_SEED).normal(0.0, 0.5 * stops, image.shape)
    dimmed = image.astype(np.float32) * 2.0 ** (-stops / _GAMMA) + noise
    return np.asarray(np.clip(np.rint(dimmed), 0, 255), np.uint8)
