"""What a detected face promises before it is embedded: size, pose, sharpness, light. About a tenth of a millisecond.

It only chooses which pictures are worth embedding; whether a picture can be trusted is said by the embedding's length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.results import Face

_PATCH = 48
"""Side in pixels at which light and sharpness are measured; larger faces are shrunk to it, smaller ones stay."""

_GREY = 6.0
"""Mean difference between the largest and smallest channel below which a picture is grey: infrared, or a night mode."""


@dataclass(frozen=True, slots=True)
class PreQuality:
    """What is known of a face before it is embedded."""

    size: float
    """Shorter side of the box in pixels."""
    yaw: float
    """Nose beside the middle of the eyes, in eye distances: 0 straight ahead, 0.5 and more in profile."""
    pitch: float
    """Nose above (negative) or below its usual height between eyes and mouth, in shares of that height."""
    roll: float
    """Degrees by which the eyes are tilted."""
    sharpness: float
    """Share of the contrast that lies in fine detail."""
    light: float
    """Mean brightness, 0..255."""
    contrast: float
    """Standard deviation of the brightness."""
    inside: float
    """Share of the box that lies in the picture."""
    grey: bool
    """Without colour."""

    @property
    def score(self) -> float:
        """0..1: how much an embedding of this picture promises; only good for comparing pictures of one person."""
        size = min(1.0, self.size / 112.0)
        pose = max(0.0, 1.0 - 1.6 * abs(self.yaw)) * max(0.2, 1.0 - abs(self.pitch))
        sharp = min(1.0, self.sharpness / 0.2)
        light = min(1.0, self.light / 50.0, (255.0 - self.light) / 30.0) * min(1.0, self.contrast / 20.0)
        return float(size * pose * (0.3 + 0.7 * sharp) * max(0.0, light) * self.inside)


@dataclass(frozen=True, slots=True)
class PictureGate:
    """What a picture must reach to be worth embedding. Immutable."""

    min_face: float
    """Pixels of the shorter side of the box."""
    max_yaw: float = 0.4
    """See `PreQuality.yaw`."""
    max_pitch: float = 0.7
    """See `PreQuality.pitch`."""
    max_roll: float = 40.0
    """Degrees."""
    min_sharpness: float = 0.05
    """See `PreQuality.sharpness`; only hopeless blur lies below."""
    min_light: float = 20.0
    """Mean brightness."""
    max_light: float = 240.0
    """Mean brightness."""
    min_contrast: float = 6.0
    """Standard deviation of the brightness."""
    min_inside: float = 0.9
    """Share of the box."""

    def reasons(self, quality: PreQuality) -> tuple[str, ...]:
        """Return what forbids embedding, worst first; empty where nothing does."""
        checks = (
            ("too_small", quality.size < self.min_face),
            ("cut_off", quality.inside < self.min_inside),
            ("turned_away", abs(quality.yaw) > self.max_yaw or abs(quality.pitch) > self.max_pitch),
            ("tilted", abs(quality.roll) > self.max_roll),
            ("too_dark", quality.light < self.min_light),
            ("too_bright", quality.light > self.max_light),
            ("low_contrast", quality.contrast < self.min_contrast),
            ("blurred", quality.sharpness < self.min_sharpness),
        )
        return tuple(name for name, holds in checks if holds)


def assess_detected(image: NDArray[np.uint8], face: Face) -> PreQuality:
    """Return what a detected face promises.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        BGR.
    face : Face
        Found in `image`.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in face.bbox)
    left, top = max(0, math.floor(x1)), max(0, math.floor(y1))
    right, bottom = min(width, math.ceil(x2)), min(height, math.ceil(y2))
    area = max(1e-6, (x2 - x1) * (y2 - y1))
    inside = max(0.0, min(x2, width) - max(x1, 0)) * max(0.0, min(y2, height) - max(y1, 0)) / area
    yaw, pitch, roll = _pose(face.kps)
    if right - left < 4 or bottom - top < 4:
        return PreQuality(face.size, yaw, pitch, roll, 0.0, 0.0, 0.0, inside, grey=False)
    patch = image[top:bottom, left:right]
    longest = max(patch.shape[:2])
    if longest > _PATCH:
        wanted = (max(4, patch.shape[1] * _PATCH // longest), max(4, patch.shape[0] * _PATCH // longest))
        patch = np.asarray(cv2.resize(patch, wanted, interpolation=cv2.INTER_AREA), np.uint8)
    grey_levels = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY).astype(np.float32)
    deviation = float(grey_levels.std())
    fine = float((grey_levels - cv2.GaussianBlur(grey_levels, (0, 0), 1.0)).std())
    spread = patch.max(axis=2).astype(np.int16) - patch.min(axis=2)
    return PreQuality(
        face.size,
        yaw,
        pitch,
        roll,
        fine / deviation if deviation > 0 else 0.0,
        float(grey_levels.mean()),
        deviation,
        min(1.0, inside),
        grey=float(spread.mean()) < _GREY,
    )


def _pose(points: NDArray[np.float32]) -> tuple[float, float, float]:
    eyes, nose, mouth = points[:2].astype(np.float64), points[2].astype(np.float64), points[3:].astype(np.float64)
    across = eyes[1] - eyes[0]
    distance = float(np.hypot(*across))
    middle, lips = eyes.mean(axis=0), mouth.mean(axis=0)
    height = float(np.hypot(*(lips - middle)))
    if distance < 1e-3 or height < 1e-3:
        return 1.0, 1.0, 0.0
    unit = across / distance
    down = (lips - middle) / height
    yaw = float((nose - middle) @ unit - (lips - middle) @ unit / 2) / max(distance, 0.5 * height)
    # On the reference face the nose lies 0.50 of the way from the eyes to the mouth.
    pitch = float((nose - middle) @ down) / height - 0.5
    return yaw, 2 * pitch, math.degrees(math.atan2(across[1], across[0]))
