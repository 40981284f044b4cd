from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from qcface_sdk.engine import FaceEngine
from qcface_sdk.gallery import Gallery


class Standing:
    """A door whose newest frame never changes."""

    def __init__(self, frame: Any) -> None:
        self.frame = frame

    def live(self) -> Any:
        return self.frame


class Log:
    """Three events, newest first."""

    rows = tuple({"id": f"{number}", "door": "front" if number != 2 else "back"} for number in (3, 2, 1))

    def recent(self, limit: int, *, door: str | None = None, before: str | None = None) -> Sequence[Mapping[str, Any]]:
        rows = [row for row in self.rows if door in (None, row["door"]) and (before is None or row["id"] < before)]
        return rows[:limit]


@pytest.fixture
def watched(make_api: Any, engine: FaceEngine, gallery: Gallery) -> Any:
    from qcface_sdk.api.state import ApiState, LiveFace, LiveFrame

    picture = np.full((720, 1280, 3), 200, np.uint8)
    face = LiveFace((10.0, 20.0, 110.0, 140.0), 7, 55.0, "ada", "accept")
    doors = {"front": Standing(LiveFrame(picture, (face,), "collecting", 0.04)), "back": Standing(None)}
    return make_api(ApiState(engine, gallery, Log(), doors, lambda: {"back": "no picture for 5 s"}))


def test_live_state_and_frame_of_a_door(watched: Any) -> None:
    assert watched.reader.get("/v1/doors").json() == {"doors": ["back", "front"]}
    live = watched.reader.get("/v1/doors/front/live").json()
    assert (live["running"], live["state"], live["width"], live["height"]) == (True, "collecting", 1280, 720)
    assert live["faces"] == [
        {"bbox": [10, 20, 110, 140], "track": 7, "quality": 55.0, "label": "ada", "outcome": "accept"}
    ]
    answer = watched.reader.get("/v1/doors/front/frame.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (540, 960, 3)


def test_door_without_a_picture_says_so(watched: Any) -> None:
    live = watched.reader.get("/v1/doors/back/live").json()
    assert (live["running"], live["faces"], live["state"]) == (False, [], None)
    assert watched.reader.get("/v1/doors/back/frame.jpg").status_code == 404


def test_unknown_door_is_not_found(watched: Any) -> None:
    assert watched.reader.get("/v1/doors/cellar/live").status_code == 404


def test_events_by_door_and_page(watched: Any) -> None:
    def ids(**params: Any) -> list[str]:
        return [event["id"] for event in watched.reader.get("/v1/events", params=params).json()["events"]]

    assert ids() == ["3", "2", "1"]
    assert ids(limit=1) == ["3"]
    assert ids(before="3") == ["2", "1"]
    assert ids(door="front") == ["3", "1"]
    assert watched.reader.get("/v1/events", params={"limit": 0}).status_code == 422


def test_problems_degrade_health_and_are_told_to_keys_alone(watched: Any) -> None:
    assert watched.anybody.get("/health").json() == {"status": "degraded"}
    assert watched.reader.get("/v1/problems").json() == {"back": "no picture for 5 s"}
    assert watched.anybody.get("/v1/problems").status_code == 401
