"""Drawn faces: people made of ellipses, for trying the training without any photograph.

Each identity has its own colours and proportions; each picture of it moves a little. Enough for a loss to fall and for
a resume to be tested, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_train.faces import SIDE, FaceSet


@dataclass(frozen=True, slots=True)
class _Person:
    """Proportions in pixels and colours in RGB of one drawn person."""

    width: float
    height: float
    eye_gap: float
    eye_size: float
    nose: float
    mouth: float
    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    iris: tuple[int, int, int]
    back: tuple[int, int, int]


def draw_faces(identities: int, pictures: int, seed: int) -> FaceSet:
    """Draw `pictures` pictures of each of `identities` people, in mixed order; labels are 0 to identities - 1."""
    rng = np.random.default_rng([seed, 7])
    people = [_invent(rng) for _ in range(identities)]
    labels = rng.permutation(np.repeat(np.arange(identities, dtype=np.int64), pictures))
    images = np.stack([_draw(people[label], rng) for label in labels])
    return FaceSet(images=images, labels=labels, skipped=0, folder=None)


def _colour(rng: np.random.Generator, low: int = 0, high: int = 256) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(low, high, 3))
    return red, green, blue


def _invent(rng: np.random.Generator) -> _Person:
    return _Person(
        width=rng.uniform(30, 44),
        height=rng.uniform(44, 56),
        eye_gap=rng.uniform(14, 22),
        eye_size=rng.uniform(3, 7),
        nose=rng.uniform(6, 16),
        mouth=rng.uniform(8, 20),
        skin=_colour(rng, 80, 240),
        hair=_colour(rng, 0, 160),
        iris=_colour(rng, 0, 140),
        back=_colour(rng),
    )


def _draw(person: _Person, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = np.empty((SIDE, SIDE, 3), np.uint8)
    image[:] = person.back
    x, y = (int(SIDE / 2 + value) for value in rng.normal(0, 1.5, 2))
    tilt = float(rng.normal(0, 4))

    def ellipse(dx: float, dy: float, rx: float, ry: float, colour: tuple[int, int, int], start: float = 0) -> None:
        centre, axes = (round(x + dx), round(y + dy)), (max(1, round(rx)), max(1, round(ry)))
        cv2.ellipse(image, centre, axes, tilt, start, 360, colour, -1, cv2.LINE_AA)

    ellipse(0, -6, person.width + 5, person.height + 2, person.hair)
    ellipse(0, 4, person.width, person.height - 6, person.skin)
    for side in (-1, 1):
        ellipse(side * person.eye_gap, -6, person.eye_size + 2, person.eye_size, (250, 250, 250))
        ellipse(side * person.eye_gap, -6, person.eye_size / 2, person.eye_size / 2, person.iris)
    darker = tuple(int(0.75 * value) for value in person.skin)
    ellipse(0, 12, 3, person.nose, (darker[0], darker[1], darker[2]))
    ellipse(0, 34, person.mouth, 3 + abs(rng.normal(0, 2)), (170, 60, 70))
    return image
