"""Measure a face in its picture, and say what should change."""

from __future__ import annotations

from typing import Any

from qcface_sdk.alignment import align
from qcface_sdk.assessment.limits import load_limits, status_of
from qcface_sdk.assessment.measures import MEASURES
from qcface_sdk.assessment.measures.colour import INFRARED_BELOW
from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.report import Measurement, QualityReport, Status
from qcface_sdk.assessment.view import FaceView, make_view
from qcface_sdk.checks import check_image
from qcface_sdk.errors import InputError
from qcface_sdk.results import Face


def assess(image: Any, face: Face) -> QualityReport:
    """Measure one face. It need not be embedded: a face of `FaceEngine.detect` will do.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        BGR picture the face was found in.
    face : Face
        With box and five points.

    Returns
    -------
    QualityReport

    Raises
    ------
    ShapeError, ImageSizeError
        If `image` is not such an array.
    InputError
        If `face` is not a `Face`.
    DegenerateLandmarksError
        If its points fix no similarity transform.
    """
    frame = check_image(image)
    if not isinstance(face, Face):
        raise InputError(f"face must be a Face of this picture, got {type(face).__name__}; use engine.get or detect")
    crop = align(frame, face.kps)[0]
    view = make_view((frame.shape[1], frame.shape[0]), face.bbox, face.kps, crop)
    measures = tuple(_measure(measure, view) for measure in MEASURES)
    infrared = next(found.raw for found in measures if found.name == "colour") < INFRARED_BELOW
    return QualityReport(measures, infrared)


def _measure(measure: Measure, view: FaceView) -> Measurement:
    limits = load_limits()[measure.name]
    raw = measure.raw(view)
    score = limits.score(raw)
    status = status_of(score)
    advice = measure.advice_high if limits.is_high(raw) else measure.advice
    return Measurement(
        measure.name, raw, measure.unit, score, status, measure.clause, "" if status is Status.GOOD else advice
    )
