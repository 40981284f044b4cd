"""How good a picture of a face is: one number that means something, and the reasons behind a poor one.

The number is `QualityScale`'s, from the embedding's length. The reasons come from `MEASURES`, one a file; they tell a
person what to change and never decide by themselves: a sharp, bright, frontal face can still be unrecognizable, and a
dark one recognizable. ISO/IEC 29794-5 (face image quality) names the components; where a measure has a counterpart
there, its `iso` says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.alignment import align
from qcface_sdk.errors import DegenerateLandmarksError
from qcface_sdk.quality import brightness, colour, contrast, covering, cut_off, exposure, face_size, pose, sharpness
from qcface_sdk.quality.measure import Measure
from qcface_sdk.quality.report import QualityReport
from qcface_sdk.quality.scale import QualityScale
from qcface_sdk.quality.scoring import load_scoring
from qcface_sdk.quality.view import FaceView
from qcface_sdk.readings import Reading, Status
from qcface_sdk.results import Face

__all__ = ["MEASURES", "Measure", "QualityReport", "QualityScale", "Reading", "Status", "assess_faces", "with_reasons"]

MEASURES: tuple[Measure, ...] = (
    face_size.MEASURE,
    cut_off.MEASURE,
    pose.YAW,
    pose.PITCH,
    pose.ROLL,
    brightness.MEASURE,
    exposure.MEASURE,
    contrast.MEASURE,
    sharpness.MEASURE,
    covering.EYES,
    covering.MOUTH,
    colour.MEASURE,
)
"""All measures, in the order in which a person should act on them."""

_SCORING = load_scoring(tuple(measure.name for measure in MEASURES))


def assess_faces(image: NDArray[np.uint8], faces: Sequence[Face]) -> tuple[QualityReport, ...]:
    """Measure faces of one picture.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        BGR.
    faces : sequence of Face
        Found in `image`; they need not be embedded.

    Returns
    -------
    tuple of QualityReport
        One per face. A measure that cannot be taken (landmarks that fix no face) is reported as not assessed.
    """
    return tuple(_assess(image, face) for face in faces)


def with_reasons(image: NDArray[np.uint8], faces: Sequence[Face]) -> tuple[Face, ...]:
    """Return the faces of one picture with `Face.quality_reasons`; parameters are those of `assess_faces`."""
    reports = assess_faces(image, faces)
    return tuple(replace(face, quality_reasons=report.readings) for face, report in zip(faces, reports, strict=True))


def _assess(image: NDArray[np.uint8], face: Face) -> QualityReport:
    try:
        crop = align(image, face.kps)[0]
    except DegenerateLandmarksError:
        crop = None
    view = FaceView.of(image, face, crop)
    readings = (_SCORING[measure.name].judge(measure, measure.read(view)) for measure in MEASURES)
    return QualityReport(face.quality, tuple(readings))
