from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qcface_sdk.engine import FaceEngine


def test_faces_are_those_of_the_engine(api: Any, eileen: bytes, engine: FaceEngine) -> None:
    answer = api.reader.post("/v1/faces", files={"image": eileen}).json()
    (face,) = answer["faces"]
    from qcface_sdk.image import decode_image

    picture = decode_image(eileen)
    expected = engine.get(picture)[0]
    assert (answer["height"], answer["width"]) == picture.shape[:2]
    np.testing.assert_allclose(face["bbox"], expected.bbox, atol=0.01)
    assert face["quality"] == expected.quality
    assert face["enough_to_enroll"] == (expected.quality >= engine.enroll_below)
    assert "embedding" not in face


def test_picture_without_a_face_has_no_faces(api: Any, nobody: bytes) -> None:
    assert api.reader.post("/v1/faces", files={"image": nobody}).json()["faces"] == []


def test_one_person_is_accepted_and_another_is_not(api: Any, eileen: bytes, grace: bytes) -> None:
    same = api.reader.post("/v1/verify", files={"image_a": eileen, "image_b": eileen}, data={"fmr": 1e-3}).json()
    other = api.reader.post("/v1/verify", files={"image_a": eileen, "image_b": grace}, data={"fmr": 1e-3}).json()
    assert same["decision"] == "accept"
    assert other["decision"] != "accept"
    assert same["threshold"] == other["threshold"]


def test_missing_face_is_retry(api: Any, eileen: bytes, nobody: bytes) -> None:
    match = api.reader.post("/v1/verify", files={"image_a": eileen, "image_b": nobody}).json()
    assert match["decision"] == "retry"
    assert "no_face" in match["reason"]


def test_identify_names_who_is_enrolled(api: Any, eileen: bytes, grace: bytes) -> None:
    empty = api.reader.post("/v1/identify", files={"image": eileen}).json()
    assert (empty["subject"], empty["decision"]) == (None, "reject")
    assert api.enroller.post("/v1/subjects", data={"subject": "eileen"}, files={"image": eileen}).status_code == 201
    known = api.reader.post("/v1/identify", files={"image": eileen}, data={"fmr": 1e-3}).json()
    assert (known["subject"], known["decision"]) == ("eileen", "accept")
    assert known["face"]["quality"] > 0
    stranger = api.reader.post("/v1/identify", files={"image": grace}, data={"fmr": 1e-3}).json()
    assert stranger["decision"] != "accept"
    assert stranger["subject"] is None


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\xff\xd8\xff\xe0" + bytes(50), b"GIF89a" + bytes(100)])
def test_what_is_no_picture_is_a_problem_document(api: Any, data: bytes) -> None:
    answer = api.reader.post("/v1/faces", files={"image": ("../../etc/passwd", data)})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "ImageReadError"
    assert "passwd" not in answer.text


@pytest.mark.parametrize("fmr", ["0", "1", "-1", "nan", "inf", "x", "1e-12"])
def test_unusable_rate_is_refused(api: Any, eileen: bytes, fmr: str) -> None:
    answer = api.reader.post("/v1/verify", files={"image_a": eileen, "image_b": eileen}, data={"fmr": fmr})
    assert answer.status_code == 422


def test_work_beyond_the_bound_is_refused_at_once(api: Any, eileen: bytes) -> None:
    places = api.app.state.places
    for _ in range(4):
        assert places.acquire(blocking=False)
    answer = api.reader.post("/v1/faces", files={"image": eileen})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    for _ in range(4):
        places.release()
    assert api.reader.post("/v1/faces", files={"image": eileen}).status_code == 200


def test_place_is_given_back_after_an_error(api: Any) -> None:
    for _ in range(6):
        assert api.reader.post("/v1/faces", files={"image": b"x"}).status_code == 422
