"""The reasons: each measure falls with the damage it is there for, and says what to change."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk import DegenerateLandmarksError, Face, FaceEngine, InputError, ShapeError
from qcface_sdk.assessment.limits import Limits, load_limits, status_of
from qcface_sdk.assessment.measures import MEASURES
from qcface_sdk.assessment.measures.pose import _HEAD, head_angles
from qcface_sdk.errors import ManifestError
from qcface_sdk.evaluation import climb
from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_sdk.quality import QualityReport, Status, assess

BOX = np.array([20.0, 20.0, 92.0, 108.0])


@pytest.fixture(scope="module")
def crop(engine: FaceEngine, request: pytest.FixtureRequest) -> np.ndarray:
    """An aligned portrait, in which the reference points are its points."""
    image = request.getfixturevalue("portrait")
    return engine.align(image, engine.detect(image)[0].kps)[0]


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="carries the public-domain portrait")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def judge(image: np.ndarray, kps: np.ndarray = REFERENCE_POINTS, bbox: np.ndarray = BOX) -> QualityReport:
    return assess(image, Face(bbox, kps, 0.9))


def test_assess_of_a_good_portrait_finds_no_fault(engine: FaceEngine, portrait: np.ndarray) -> None:
    face = engine.detect(portrait)[0]
    report = engine.assess(portrait, face)
    assert [measure.name for measure in report.measures] == [measure.name for measure in MEASURES]
    assert report.reasons == ()
    assert not report.infrared
    assert all(0 <= measure.score <= 100 for measure in report.measures)
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "name", "advice"),
    [
        ("blur", "sharpness", "hold still"),
        ("dark", "exposure", "more light"),
        ("dark", "contrast", "light the face evenly"),
        ("occlusion", "occlusion", "take off mask"),
    ],
)
def test_measure_falls_with_its_damage_and_ends_poor(kind: str, name: str, advice: str, crop: np.ndarray) -> None:
    reports = [judge(rung) for rung in climb(crop, kind, seed=3)]
    scores = [report[name].score for report in reports]
    assert scores[0] > scores[3] >= scores[-1]
    assert reports[-1][name].status is Status.POOR
    assert name in reports[-1].reasons
    assert any(text.startswith(advice) for text in reports[-1].advice)


def test_too_much_light_is_told_from_too_little(crop: np.ndarray) -> None:
    bright = np.clip(crop.astype(int) // 8 + 230, 0, 255).astype(np.uint8)
    assert "less light on the face" in judge(bright).advice
    assert "more light on the face" in judge((crop // 8).astype(np.uint8)).advice


def test_small_face_is_asked_to_come_closer(crop: np.ndarray) -> None:
    small = cv2.resize(crop, (28, 28), interpolation=cv2.INTER_AREA)
    report = judge(small, (REFERENCE_POINTS + 0.5) / 4 - 0.5, BOX / 4)
    assert report["size"].raw == pytest.approx(35.2 / 4, abs=0.1)
    assert report["size"].status is Status.POOR
    assert "come closer" in report.advice


def test_grey_picture_is_accepted_as_infrared(crop: np.ndarray) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    report = judge(grey)
    assert report.infrared
    assert report["colour"].status is Status.GOOD
    assert report.reasons == judge(crop).reasons


def test_cut_off_face_is_asked_into_the_middle(crop: np.ndarray) -> None:
    report = judge(crop, bbox=np.array([60.0, 20.0, 180.0, 108.0]))
    assert report["truncation"].raw == pytest.approx((111.5 - 60) / 120)
    assert "step into the middle of the picture" in report.advice
    assert judge(crop, bbox=np.array([200.0, 20.0, 300.0, 108.0]))["truncation"].score == 0
    assert judge(crop, bbox=np.array([50.0, 20.0, 50.0, 108.0]))["truncation"].score == 0


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    y, p, r = (math.radians(value) for value in (yaw, pitch, roll))
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), math.sin(p)], [0, -math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@given(yaw=st.floats(-60, 60), pitch=st.floats(-40, 40), scale=st.floats(0.3, 20))
def test_head_angles_of_a_projected_mean_head_are_those_it_was_turned_by(
    yaw: float, pitch: float, scale: float
) -> None:
    turned = (rotation(yaw, pitch, 0.0) @ _HEAD.T).T
    found = head_angles((scale * turned[:, :2] + 300.0).astype(np.float32))
    assert found[0] == pytest.approx(yaw, abs=0.5)
    assert found[1] == pytest.approx(pitch, abs=0.5)


@given(roll=st.floats(-170, 170))
def test_a_tilted_head_is_no_turned_head(roll: float) -> None:
    turned = (rotation(0.0, 0.0, roll) @ _HEAD.T).T
    yaw, pitch, found = head_angles((5 * turned[:, :2] + 300.0).astype(np.float32))
    assert (yaw, pitch) == pytest.approx((0.0, 0.0), abs=0.5)
    assert found == pytest.approx(roll, abs=0.5)


def test_head_angles_of_the_reference_points_are_frontal() -> None:
    assert head_angles(REFERENCE_POINTS.astype(np.float32)) == pytest.approx((0.0, 0.0, 0.0), abs=1.0)


def test_report_by_an_unknown_name_lists_the_known(crop: np.ndarray) -> None:
    with pytest.raises(KeyError, match=r"no measure 'beauty'; there are size, sharpness"):
        judge(crop)["beauty"]


def test_assess_of_bad_input_is_a_named_error(crop: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        judge(crop[..., 0])
    with pytest.raises(InputError, match="must be a Face"):
        assess(crop, BOX)  # type: ignore[arg-type]
    with pytest.raises(DegenerateLandmarksError):
        judge(crop, np.full((5, 2), 50.0))


def test_limits_name_every_measure_and_their_origin() -> None:
    limits = load_limits()
    assert set(limits) == {measure.name for measure in MEASURES}
    assert all(found.origin for found in limits.values())
    for measure in MEASURES:
        assert measure.clause.startswith("7.")


@pytest.mark.parametrize("knots", [((0.0, 1.0),), ((1.0, 0.0), (1.0, 5.0)), ((0.0, 0.0), (1.0, 101.0))])
def test_limits_that_make_no_scale_are_refused(knots: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ManifestError):
        Limits(knots, "made up")


def test_limits_of_a_number_that_is_none_score_nothing() -> None:
    limits = Limits(((0.0, 0.0), (1.0, 100.0)), "made up")
    assert [limits.score(value) for value in (math.nan, math.inf, 0.5)] == [0.0, 0.0, 50.0]
    assert [status_of(score) for score in (50.0, 20.0, 19.9)] == [Status.GOOD, Status.FAIR, Status.POOR]
