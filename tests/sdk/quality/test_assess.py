from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ShapeError
from qcface_sdk.quality import MEASURES, Status, assess_faces
from qcface_sdk.results import Face


def test_good_portrait_has_no_reasons(engine: FaceEngine, astronaut: np.ndarray) -> None:
    face = engine.get(astronaut)[0]
    report = engine.assess(astronaut, face)
    assert report.reasons == ()
    assert report.advice == ()
    assert report.quality == face.quality
    assert [reading.name for reading in report.readings] == [measure.name for measure in MEASURES]
    assert json.loads(json.dumps(report.to_dict()))["readings"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda image: cv2.GaussianBlur(image, (0, 0), 6), "blurred"),
        (lambda image: (image * 0.12).astype(np.uint8), "too_dark"),
        (lambda image: cv2.convertScaleAbs(image, alpha=1.6, beta=120), "too_bright"),
        (lambda image: cv2.convertScaleAbs(image, alpha=0.1, beta=110), "low_contrast"),
    ],
    ids=["blur", "dark", "bright", "flat"],
)
def test_spoilt_portrait_says_why(engine: FaceEngine, astronaut: np.ndarray, change, reason: str) -> None:
    spoilt = change(astronaut)
    face = engine.detect(astronaut)[0]
    report = engine.assess(spoilt, face)
    assert reason in report.reasons
    assert report.advice
    assert report.quality is None


def test_grey_picture_is_noted_and_nothing_else(engine: FaceEngine, astronaut: np.ndarray) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    report = engine.assess(grey, engine.detect(grey)[0])
    assert report.reasons == ("grey",)
    assert report.advice == ()


def test_small_face_at_the_border_says_both(engine: FaceEngine) -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    box = np.array([-15, 10, 15, 40], np.float32)
    kps = np.array([[-5, 20], [5, 20], [0, 26], [-4, 32], [4, 32]], np.float32)
    reasons = engine.assess(image, Face(box, kps, 0.9)).reasons
    assert reasons[:2] == ("too_small", "cut_off")


def test_landmarks_that_fix_no_face_are_not_assessed() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    face = Face(np.array([10, 10, 60, 60], np.float32), np.full((5, 2), 30, np.float32), 0.9)
    (report,) = assess_faces(image, [face])
    status = {reading.name: reading.status for reading in report.readings}
    assert status["face_size"] is Status.GOOD
    assert {status[name] for name in ("yaw", "sharpness", "brightness", "colour")} == {Status.NOT_ASSESSED}


def test_no_faces_no_reports() -> None:
    assert assess_faces(np.zeros((64, 64, 3), np.uint8), []) == ()


def test_bad_picture_is_a_named_error(engine: FaceEngine, astronaut: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        engine.assess(astronaut[..., 0], engine.detect(astronaut)[0])
