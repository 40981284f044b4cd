from __future__ import annotations

import cv2
import numpy as np
import pytest

from qcface_sdk import Face, FaceEngine
from qcface_sdk.camera.prequality import PictureGate, PreQuality, assess_detected


@pytest.fixture(scope="module")
def portrait(engine: FaceEngine, astronaut: np.ndarray) -> tuple[np.ndarray, Face]:
    return astronaut, engine.detect(astronaut)[0]


def test_a_good_portrait_passes(portrait: tuple[np.ndarray, Face]) -> None:
    quality = assess_detected(*portrait)
    assert PictureGate(60).reasons(quality) == ()
    assert quality.score > 0.5
    assert not quality.grey
    assert PictureGate(600).reasons(quality) == ("too_small",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda i: cv2.GaussianBlur(i, (0, 0), 12), "blurred"),
        (lambda i: (i // 20).astype(np.uint8), "too_dark"),
        (lambda i: (255 - (255 - i) // 40).astype(np.uint8), "too_bright"),
        (lambda i: (120 + i // 64).astype(np.uint8), "low_contrast"),
    ],
)
def test_what_is_wrong_is_named_and_lowers_the_score(
    portrait: tuple[np.ndarray, Face], change: object, reason: str
) -> None:
    image, face = portrait
    quality = assess_detected(change(image), face)  # type: ignore[operator]
    assert reason in PictureGate(60).reasons(quality)
    assert quality.score < assess_detected(image, face).score


def test_score_falls_with_blur_and_with_size(portrait: tuple[np.ndarray, Face]) -> None:
    image, face = portrait
    scores = [assess_detected(cv2.GaussianBlur(image, (0, 0), s), face).score for s in (0.1, 2, 4, 8)]
    assert scores == sorted(scores, reverse=True)
    scores = []
    for scale in (1.0, 0.5, 0.25):
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        scores.append(assess_detected(small, Face(face.bbox * scale, face.kps * scale, 0.9)).score)
    assert scores == sorted(scores, reverse=True)


def test_pose_by_landmarks(portrait: tuple[np.ndarray, Face]) -> None:
    image, face = portrait
    kps = face.kps.copy()
    kps[2, 0] = kps[1, 0]
    turned = assess_detected(image, Face(face.bbox, kps, 0.9))
    assert "turned_away" in PictureGate(60).reasons(turned)
    middle = face.kps.mean(axis=0)
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), 50, 1.0)
    tilted = cv2.transform(face.kps[None], turn)[0].astype(np.float32)
    quality = assess_detected(image, Face(face.bbox, tilted, 0.9))
    assert "tilted" in PictureGate(60).reasons(quality)
    assert abs(quality.yaw - assess_detected(image, face).yaw) < 1e-3


def test_faces_at_and_beyond_the_edge_are_cut_off(portrait: tuple[np.ndarray, Face]) -> None:
    image, _ = portrait
    kps = np.zeros((5, 2), np.float32)
    for box in ([-60, 10, 60, 130], [500, 500, 700, 700], [600, 600, 700, 700], [-1e6, -1e6, 1e6, 1e6]):
        quality = assess_detected(image, Face(np.array(box), kps, 0.9))
        assert "cut_off" in PictureGate(10).reasons(quality)
        assert np.isfinite(quality.score)


def test_grey_is_noticed(portrait: tuple[np.ndarray, Face]) -> None:
    image, face = portrait
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    quality = assess_detected(grey, face)
    assert quality.grey
    assert PictureGate(60).reasons(quality) == ()


def test_no_landmarks_are_no_pose() -> None:
    face = Face(np.array([10, 10, 90, 90]), np.zeros((5, 2)), 0.9)
    quality = assess_detected(np.zeros((100, 100, 3), np.uint8), face)
    assert isinstance(quality, PreQuality)
    assert "turned_away" in PictureGate(10).reasons(quality)
