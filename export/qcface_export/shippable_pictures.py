"""Faces that anyone may have: two portraits in the public domain, mirrored, shifted and lit into a set.

They stand in where no other picture may go along: on a door controller that builds its own engine. Two people are few,
so what is measured on them says whether two files compute the same, and nothing about how well faces are recognised.
"""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_export.errors import CalibrationError
from qcface_export.pictures import PictureSet
from qcface_sdk.alignment import align
from qcface_sdk.demo.photographs import COLLINS, HOPPER, Photograph
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import BackendUnavailableError

_SEED = 20251017
_GAMMAS = (0.6, 1.0, 1.6)
_SHAKES = 4
# Share of the distance between the eyes by which landmarks are moved: about what detectors differ by.
_SHAKE = 0.06


def shippable_pictures(engine: FaceEngine) -> PictureSet:
    """Return 48 aligned crops of two portraits: mirrored or not, landmarks moved, darker and brighter.

    Parameters
    ----------
    engine : FaceEngine
        Finds the faces.

    Raises
    ------
    CalibrationError
        If the portraits are not installed, or the engine finds no face on one.
    """
    rng = np.random.default_rng(_SEED)
    names: list[str] = []
    crops: list[NDArray[np.uint8]] = []
    for photograph, mirrored in product((COLLINS, HOPPER), (False, True)):
        image, points = _face(engine, photograph, mirrored=mirrored)
        reach = _SHAKE * float(np.linalg.norm(points[0] - points[1]))
        for shake, gamma in product(range(_SHAKES), _GAMMAS):
            moved = points + rng.normal(0, reach, points.shape) if shake else points
            crop = align(image, moved.astype(np.float32))[0]
            names.append(f"{photograph.subject}{' mirrored' if mirrored else ''} {shake} {gamma:g}")
            crops.append(np.asarray(255 * (crop / 255.0) ** gamma, np.uint8))
    return PictureSet(tuple(names), np.stack(crops))


def _face(
    engine: FaceEngine, photograph: Photograph, *, mirrored: bool
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    try:
        image = photograph.read()
    except BackendUnavailableError as error:
        raise CalibrationError(
            f"{error}; or pass pictures of your own, or a calibration table made elsewhere"
        ) from error
    if mirrored:
        image = np.asarray(cv2.flip(image, 1), np.uint8)
    faces = engine.detect(image)
    if not faces:
        raise CalibrationError(f"no face is found on the portrait of {photograph.person}; check the detector")
    return image, faces[0].kps
