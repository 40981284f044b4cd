from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest


def enroll(api: Any, subject: str, *pictures: bytes, **data: Any) -> Any:
    return api.enroller.post("/v1/subjects", data={"subject": subject, **data}, files=[("image", p) for p in pictures])


def encoded(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def test_enrol_list_look_remove(api: Any, eileen: bytes, grace: bytes) -> None:
    receipt = enroll(api, "eileen", eileen)
    assert receipt.status_code == 201
    assert receipt.json() == {"subject": "eileen", "templates": 1, "warnings": []}
    assert enroll(api, "grace", grace).status_code == 201
    assert api.reader.get("/v1/subjects").json() == {"subjects": ["eileen", "grace"], "total": 2, "next": None}
    assert api.reader.get("/v1/subjects/eileen").json()["templates"] == 1
    removed = api.admin.delete("/v1/subjects/eileen").json()
    assert (removed["subject"], removed["templates"]) == ("eileen", 1)
    assert removed["receipt"]["subject"] == "eileen"
    assert api.reader.get("/v1/subjects/eileen").status_code == 404
    assert api.admin.delete("/v1/subjects/eileen").status_code == 404
    assert api.reader.get("/v1/subjects").json()["subjects"] == ["grace"]


@pytest.mark.parametrize("subject", ["a/b", "ä ö", "日本", "100 %", "?x=1", "..", "a" * 256])
def test_any_id_survives_the_way_through_an_address(api: Any, eileen: bytes, subject: str) -> None:
    from urllib.parse import quote

    assert enroll(api, subject, eileen).status_code == 201
    path = "/v1/subjects/" + quote(subject, safe="").replace(".", "%2E")
    assert api.reader.get(path).json()["subject"] == subject
    assert api.admin.delete(path).json()["subject"] == subject


def test_pages_continue_where_the_last_one_ended(api: Any, eileen: bytes) -> None:
    for name in ("a", "b", "c"):
        assert enroll(api, name, eileen, force=True).status_code == 201
    first = api.reader.get("/v1/subjects", params={"limit": 2}).json()
    assert (first["subjects"], first["next"]) == (["a", "b"], "b")
    second = api.reader.get("/v1/subjects", params={"limit": 2, "after": "b"}).json()
    assert (second["subjects"], second["next"]) == (["c"], None)


def test_several_pictures_of_one_person_are_enrolled_together(api: Any, astronaut: np.ndarray) -> None:
    mirrored = encoded(np.ascontiguousarray(astronaut[:, ::-1]))
    receipt = enroll(api, "eileen", encoded(astronaut), mirrored)
    assert receipt.json()["templates"] == 2


def test_poor_picture_is_refused_with_what_to_change(api: Any, astronaut: np.ndarray) -> None:
    poor = cv2.GaussianBlur(astronaut, (0, 0), 12)
    answer = enroll(api, "eileen", encoded(astronaut), encoded(poor))
    assert answer.status_code == 422
    assert "picture 2" in answer.json()["detail"]
    assert api.reader.get("/v1/subjects").json()["total"] == 0


def test_picture_without_or_with_two_faces_is_refused(
    api: Any, nobody: bytes, astronaut: np.ndarray, hopper: np.ndarray
) -> None:
    assert "no face" in enroll(api, "x", nobody).json()["detail"]
    height = min(len(astronaut), len(hopper))
    both = np.hstack([astronaut[:height], hopper[:height]])
    answer = enroll(api, "x", encoded(both))
    assert answer.status_code == 422
    assert "2 faces" in answer.json()["detail"]


def test_two_people_under_one_id_are_refused_unless_forced(api: Any, eileen: bytes, grace: bytes) -> None:
    assert enroll(api, "x", eileen, grace).status_code == 409
    assert api.reader.get("/v1/subjects").json()["total"] == 0
    forced = enroll(api, "x", eileen, grace, force=True)
    assert forced.status_code == 201
    assert forced.json()["warnings"]


def test_known_person_under_a_new_id_is_refused_unless_forced(api: Any, eileen: bytes) -> None:
    assert enroll(api, "eileen", eileen).status_code == 201
    answer = enroll(api, "imposter", eileen)
    assert answer.status_code == 409
    assert "eileen" in answer.json()["detail"]
    assert enroll(api, "eileen", eileen).status_code == 201


@pytest.mark.parametrize("subject", ["", "a" * 257, "a\nb", "a\0b"])
def test_unusable_id_is_refused(api: Any, eileen: bytes, subject: str) -> None:
    assert enroll(api, subject, eileen).status_code == 422
    assert api.reader.get("/v1/subjects").json()["total"] == 0


def test_too_many_pictures_are_refused(api: Any, eileen: bytes) -> None:
    assert enroll(api, "eileen", *[eileen] * 9).status_code == 422
