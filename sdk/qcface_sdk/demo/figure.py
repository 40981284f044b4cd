"""Cut a person out of a photograph and give her a drawn lower body, so that she can stand in another picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.demo.photographs import Image, Photograph

EYE_HEIGHT = 1.6
"""Metres from the floor."""

_SEED = 7
_BAND = 13
"""Pixels on either side of the rough outline within which the true edge is searched."""


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A whole person with transparency."""

    colour: Image
    """BGR uint8 (H, W, 3)."""

    alpha: NDArray[np.float32]
    """Shape (H, W), 0..1."""

    eyes: tuple[float, float]
    """Middle between the eyes, in pixels."""

    pixels_per_metre: float
    """Scale of the figure."""


def make_figure(photograph: Photograph, image: Image) -> Figure:
    """Return the person of a photograph, cut out and extended down to the floor.

    Parameters
    ----------
    photograph : Photograph
        Outline, scale and clothes.
    image : ndarray of uint8, shape (H, W, 3)
        BGR picture of that photograph.
    """
    height, width = image.shape[:2]
    scale = photograph.pixels_per_metre
    below = round(EYE_HEIGHT * scale) - (height - photograph.eyes[1])
    side = round(0.1 * scale)
    colour = np.zeros((height + below, width + 2 * side, 3), np.uint8)
    alpha = np.zeros(colour.shape[:2], np.float32)
    _draw_lower_body(colour, alpha, photograph, (photograph.eyes[0] + side, height))
    mask = _cut_out(photograph, image)
    # The photograph fades into the drawing over its lowest rows.
    fade = np.clip((height - np.arange(height, dtype=np.float32)) / (0.08 * height), 0.0, 1.0)[:, None]
    window = (slice(0, height), slice(side, side + width))
    weight = (mask * fade)[..., None]
    colour[window] = (image * weight + colour[window] * (1 - weight)).astype(np.uint8)
    alpha[window] = np.maximum(alpha[window], mask * fade)
    eyes = (photograph.eyes[0] + float(side), float(photograph.eyes[1]))
    return Figure(colour, alpha, eyes, scale)


def _cut_out(photograph: Photograph, image: Image) -> NDArray[np.float32]:
    """Return how much of each pixel belongs to the person, 0..1."""
    shape = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(shape, [np.array(photograph.outline, np.int32)], 1)
    band = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BAND + 1, 2 * _BAND + 1))
    # The frame cuts the body, which is no edge of the body.
    sure = cv2.erode(shape, band, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    possible = cv2.dilate(shape, band)
    labels = np.full(image.shape[:2], cv2.GC_BGD, np.uint8)
    labels[possible == 1] = cv2.GC_PR_BGD
    labels[shape == 1] = cv2.GC_PR_FGD
    labels[sure == 1] = cv2.GC_FGD
    cv2.setRNGSeed(_SEED)
    cv2.grabCut(image, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    person = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    soft = cv2.GaussianBlur(cv2.medianBlur(person, 5), (0, 0), 1.3)
    return np.asarray(np.clip((soft - 0.35) / 0.5, 0.0, 1.0), np.float32)


def _draw_lower_body(
    colour: Image, alpha: NDArray[np.float32], photograph: Photograph, middle_top: tuple[int, int]
) -> None:
    """Fill in waist, legs and shoes below the photograph, in place, shaded from the middle to the sides."""
    metre = photograph.pixels_per_metre
    x, floor = middle_top[0], colour.shape[0]

    def outline(points: tuple[tuple[float, float], ...]) -> NDArray[np.int32]:
        """Points in metres right of the middle and above the floor."""
        return np.array([[round(x + dx * metre), round(floor - up * metre)] for dx, up in points], np.int32)

    # Points run down the right side and up the left.
    torso = ((0.21, 1.36), (0.23, 1.16), (0.19, 0.98), (0.2, 0.82), (-0.2, 0.82), (-0.19, 0.98), (-0.23, 1.16))
    legs = (
        ((0.2, 0.84), (0.16, 0.45), (0.13, 0.06), (0.03, 0.06), (0.02, 0.45), (0.0, 0.84)),
        ((0.0, 0.84), (-0.02, 0.45), (-0.04, 0.09), (-0.14, 0.09), (-0.16, 0.45), (-0.2, 0.84)),
    )
    shoes = (
        ((0.14, 0.09), (0.15, 0.01), (0.02, 0.01), (0.03, 0.09)),
        ((-0.03, 0.11), (-0.03, 0.04), (-0.15, 0.04), (-0.14, 0.11)),
    )
    columns = np.abs(np.arange(colour.shape[1]) - x) / (0.25 * metre)
    shade = np.clip(1.0 - 0.45 * columns**2, 0.35, 1.0)[None, :, None]
    clothes = (np.array(photograph.clothes, np.float64) * shade).astype(np.uint8)
    body = np.zeros(alpha.shape, np.uint8)
    # One call each: where the shapes of one call overlap, fillPoly leaves a hole.
    for shape in ((*torso, (-0.21, 1.36)), *legs):
        cv2.fillPoly(body, [outline(shape)], 1)
    feet = np.zeros(alpha.shape, np.uint8)
    cv2.fillPoly(feet, [outline(shoe) for shoe in shoes], 1)
    body[: middle_top[1] - round(0.1 * middle_top[1])] = 0
    colour[:] = np.where(body[..., None] == 1, np.broadcast_to(clothes, colour.shape), colour)
    colour[feet == 1] = (26, 22, 20)
    alpha[:] = cv2.GaussianBlur(np.maximum(body, feet).astype(np.float32), (0, 0), 0.004 * metre)
