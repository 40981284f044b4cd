"""Simulate a walk towards a door: a real face, cut out of its photograph, in a drawn corridor.

The face's pixels are the photograph's, shrunk with area averaging when far and enlarged when near; distance brings
darkness and noise, walking brings motion blur. It is a picture of the geometry of a door, not of a real camera.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive_int
from qcface_sdk.demo.corridor import Camera, draw_corridor
from qcface_sdk.demo.figure import EYE_HEIGHT, Figure
from qcface_sdk.demo.photographs import Image

FAR_M, NEAR_M = 9.0, 0.85
"""Distance of the first and the last frame, in metres."""

_SEED = 20251017


@dataclass(frozen=True, slots=True, eq=False)
class WalkFrame:
    """One picture of a walk."""

    image: Image
    """BGR uint8 (H, W, 3)."""

    distance_m: float
    """From the camera to the face, in metres."""

    blur_px: float
    """Length of the motion blur in pixels; 0 for none."""


def walk_towards_door(figure: Figure, frames: int, camera: Camera | None = None) -> Iterator[WalkFrame]:
    """Yield the frames of a walk, from far to near, the same at every call.

    Parameters
    ----------
    figure : Figure
        Who walks.
    frames : int
        How many pictures, at least 1; the apparent size grows by the same factor between any two.
    camera : Camera, optional
        The door's camera.
    """
    check_positive_int("frames", frames)
    camera = camera or Camera()
    corridor = draw_corridor(camera)
    rng = np.random.default_rng(_SEED)
    for number, distance in enumerate(np.geomspace(FAR_M, NEAR_M, frames)):
        step = 2 * np.pi * number / 4.3
        sideways = 0.10 * np.sin(step) * min(1.0, distance / 3)
        picture = _place(corridor, figure, camera, float(distance), float(sideways), 0.02 * abs(np.sin(step)))
        # Every third frame catches the body in mid-step.
        blur = 3.0 + 0.9 * camera.focal / 864 * 6 / distance if number % 3 == 1 else 0.0
        if blur:
            picture = _blur_sideways(picture, min(blur, 11.0))
        noise = rng.standard_normal(picture.shape, dtype=np.float32)
        image = np.asarray(np.clip(np.rint(picture + 2.5 * noise), 0, 255), np.uint8)
        yield WalkFrame(image, float(distance), min(blur, 11.0) if blur else 0.0)


def _place(
    corridor: Image, figure: Figure, camera: Camera, distance: float, sideways: float, lift: float
) -> NDArray[np.float32]:
    """Return the corridor with the figure standing in it at a distance, as float32 BGR."""
    scale = camera.focal / (distance * figure.pixels_per_metre)
    light = 0.55 + 0.45 * float(np.exp(-max(distance - 1.0, 0.0) / 5.0))
    size = (max(1, round(figure.alpha.shape[1] * scale)), max(1, round(figure.alpha.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    # Colours are weighted with their transparency, so that no black rim is averaged into the edge.
    weighted = figure.colour.astype(np.float32) * figure.alpha[..., None]
    body = cv2.resize(weighted, size, interpolation=method) * light
    alpha = np.clip(cv2.resize(figure.alpha, size, interpolation=method), 0.0, 1.0)[..., None]
    eye_x, eye_y = camera.project(sideways, EYE_HEIGHT + lift, distance)
    left, top = round(eye_x - figure.eyes[0] * scale), round(eye_y - figure.eyes[1] * scale)
    scene = corridor.astype(np.float32)
    _draw_shadow(scene, camera, sideways, distance)
    height, width = scene.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + size[0], width), min(top + size[1], height)
    if x1 < x2 and y1 < y2:
        part = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
        scene[y1:y2, x1:x2] = scene[y1:y2, x1:x2] * (1 - alpha[part]) + body[part]
    return scene


def _draw_shadow(scene: NDArray[np.float32], camera: Camera, sideways: float, distance: float) -> None:
    x, y = camera.project(sideways, 0.0, distance)
    radius = 0.3 * camera.focal / distance
    mask = np.zeros(scene.shape[:2], np.float32)
    cv2.ellipse(mask, (round(x), round(y)), (round(radius), max(1, round(0.22 * radius))), 0, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(mask, (0, 0), max(1.0, radius / 5))
    scene *= (1.0 - 0.5 * soft)[..., None]


def _blur_sideways(picture: NDArray[np.float32], length: float) -> NDArray[np.float32]:
    taps = max(2, round(length))
    return np.asarray(cv2.blur(picture, (taps, 1)), np.float32)
