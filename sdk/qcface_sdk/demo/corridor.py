"""Draw the corridor that a door camera looks down."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from qcface_sdk.demo.photographs import Image

Colour = tuple[float, float, float]

_WIDTH_M, _HEIGHT_M, _LENGTH_M = 2.4, 2.55, 14.0
_NEAR_M = 0.55
_STEP_M = 0.5
_FINE = 2
"""Drawn this many times larger, then reduced, which smooths every edge."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole camera above a door; z is the distance in metres, x to the right and y up from the floor."""

    size_wh: tuple[int, int] = (960, 540)
    """Picture size in pixels."""

    height: float = 1.6
    """Metres above the floor."""

    focal: float = 864.0
    """Focal length in pixels."""

    horizon: float = 0.40
    """Height of the horizon as a share of the picture, from the top."""

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Return where a point of the corridor lies in the picture, (x, y) in pixels."""
        width, height = self.size_wh
        return width / 2 + self.focal * x / z, height * self.horizon - self.focal * (y - self.height) / z


def draw_corridor(camera: Camera) -> Image:
    """Return the empty corridor, BGR uint8 of the camera's size."""
    width, height = camera.size_wh
    canvas: Image = np.zeros((height * _FINE, width * _FINE, 3), np.uint8)
    depths = np.arange(_LENGTH_M, _NEAR_M - 1e-9, -_STEP_M)
    for number, z in enumerate(depths):
        _draw_ring(canvas, camera, max(float(z) - _STEP_M, 0.2), float(z), number)
    _draw_end(canvas, camera)
    for z in (11.5, 9.0, 6.5, 4.0, 1.9):
        _draw_lamp(canvas, camera, z)
        for side in (-1.0, 1.0):
            _draw_door(canvas, camera, side, z - 0.4)
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 0.7), np.uint8)


def _light(z: float) -> float:
    """Return the brightness at a distance: the far end lies in the dark."""
    return 0.42 + 0.58 * float(np.exp(-z / 7.5))


def _fill(canvas: Image, camera: Camera, corners: list[tuple[float, float, float]], colour: Colour, z: float) -> None:
    points = np.array([camera.project(*corner) for corner in corners]) * _FINE
    shade = _light(z)
    cv2.fillPoly(canvas, [np.rint(points).astype(np.int32)], tuple(c * shade for c in colour), cv2.LINE_AA)


def _draw_ring(canvas: Image, camera: Camera, near: float, far: float, number: int) -> None:
    """Draw half a metre of floor, ceiling and walls."""
    half, top = _WIDTH_M / 2, _HEIGHT_M
    for column in range(4):
        left, right = -half + 0.6 * column, -half + 0.6 * (column + 1)
        tile: Colour = (150, 148, 144) if (number + column) % 2 else (136, 134, 130)
        _fill(canvas, camera, [(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)], tile, far)
    ceiling: Colour = (208, 210, 212) if number % 2 else (203, 205, 207)
    _fill(canvas, camera, [(-half, top, near), (half, top, near), (half, top, far), (-half, top, far)], ceiling, far)
    for side in (-half, half):
        wall: Colour = (196, 198, 194) if side < 0 else (186, 189, 186)
        panel: Colour = (150, 138, 118) if side < 0 else (141, 130, 112)
        _fill(canvas, camera, [(side, 1, near), (side, top, near), (side, top, far), (side, 1, far)], wall, far)
        _fill(canvas, camera, [(side, 0.1, near), (side, 1, near), (side, 1, far), (side, 0.1, far)], panel, far)
        _fill(canvas, camera, [(side, 0, near), (side, 0.1, near), (side, 0.1, far), (side, 0, far)], (70, 66, 62), far)


def _draw_end(canvas: Image, camera: Camera) -> None:
    half, z = _WIDTH_M / 2, _LENGTH_M
    _fill(
        canvas, camera, [(-half, 0, z), (half, 0, z), (half, _HEIGHT_M, z), (-half, _HEIGHT_M, z)], (150, 150, 148), z
    )
    _fill(canvas, camera, [(-0.5, 0, z), (0.5, 0, z), (0.5, 2.1, z), (-0.5, 2.1, z)], (96, 88, 78), z)
    _fill(canvas, camera, [(-0.3, 1.1, z), (0.3, 1.1, z), (0.3, 1.9, z), (-0.3, 1.9, z)], (176, 180, 176), 2.0)


def _draw_lamp(canvas: Image, camera: Camera, z: float) -> None:
    top = _HEIGHT_M - 0.01
    corners = [(-0.35, top, z - 0.5), (0.35, top, z - 0.5), (0.35, top, z + 0.2), (-0.35, top, z + 0.2)]
    _fill(canvas, camera, corners, (255, 255, 252), 0.0)


def _draw_door(canvas: Image, camera: Camera, side: float, z: float) -> None:
    wall = side * _WIDTH_M / 2
    for inset, colour in ((0.0, (92.0, 86.0, 80.0)), (0.05, (128.0, 112.0, 92.0))):
        near, far, top = max(z - 0.9 + inset, 0.3), z - inset, 2.1 - inset
        _fill(canvas, camera, [(wall, 0, near), (wall, top, near), (wall, top, far), (wall, 0, far)], colour, z)
