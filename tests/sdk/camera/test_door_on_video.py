"""The whole door on real video: three people who walk up, two too far away, and a room without a face."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcface_sdk import FaceEngine, Gallery, Outcome
from qcface_sdk.camera import Capture, Door, DoorRules
from qcface_sdk.events import DoorEvent
from rtsp_camera import Server, can_serve

RULES = DoorRules(min_face=28)


def gallery_of(folder: Path, engine: FaceEngine) -> Gallery:
    return Gallery.open(folder / "people.db", contract=engine.contract)


@pytest.fixture(scope="module")
def clips(data_dir: Path) -> dict[str, Any]:
    return {"folder": data_dir / "video", **json.loads((data_dir / "video" / "annotations.json").read_text())}


def person_at(clips: dict[str, Any], name: str, frame: int, box: Any) -> str | None:
    """Who is marked nearest to a box, within half a face."""
    marks = clips[name]["frames"][frame]["faces"]
    middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    near = [
        (float(np.hypot(*(middle - np.array([(b[0] + b[2]) / 2, (b[1] + b[3]) / 2])))), mark["person"])
        for mark in marks
        for b in [mark["box"]]
    ]
    distance, person = min(near)
    return person if distance < (box[2] - box[0]) / 2 else None


def test_three_people_are_recognised_by_frame_25_and_nobody_is_confused(clips: dict[str, Any], tmp_path: Path) -> None:
    name = "corridor_pause.mp4"
    with FaceEngine(min_face=24) as engine, gallery_of(tmp_path, engine) as gallery:
        # Three last frames: one may be a bad picture of somebody.
        frames = list(Capture(clips["folder"] / name))[-3:]
        faces = defaultdict(list)
        for frame in frames:
            for face in engine.get(frame.image):
                faces[person_at(clips, name, frame.number, face.bbox)].append(face)
        people = {person for person in faces if person is not None}
        assert len(people) == 3
        for person in people:
            gallery.enroll(person, engine.template(faces[person]))
        door = Door(engine, gallery, clips["folder"] / name, rules=RULES)
        accepted: dict[str, int] = {}
        for event in door:
            assert door.view is not None
            if event.accepted and event.subject is not None:
                number = door.view.frame.number
                assert person_at(clips, name, number, event.bbox) == event.subject
                accepted[event.subject] = number
        assert accepted.keys() == people
        assert max(accepted.values()) <= 25


def test_people_too_far_away_get_one_retry_each_and_are_never_accepted(clips: dict[str, Any], tmp_path: Path) -> None:
    name = "corridor.mp4"
    with FaceEngine(min_face=12) as engine, gallery_of(tmp_path, engine) as gallery:
        for number, face in enumerate(engine.get(list(Capture(clips["folder"] / name))[-1].image)):
            gallery.enroll(f"p{number}", face)
        events = list(Door(engine, gallery, clips["folder"] / name, rules=RULES))
    assert {(event.outcome, event.reasons) for event in events} == {(Outcome.RETRY, ("too_small",))}
    tracks = [event.track for event in events]
    assert len(tracks) == len(set(tracks)) == len(clips[name]["persons"])


def test_a_room_without_a_face_gives_no_event(clips: dict[str, Any], tmp_path: Path) -> None:
    with FaceEngine(min_face=40) as engine, gallery_of(tmp_path, engine) as gallery:
        assert list(Door(engine, gallery, clips["folder"] / "no_face.mp4")) == []


def test_a_portrait_from_a_real_camera_opens_and_another_does_not(
    astronaut_path: Path, hopper: np.ndarray, astronaut: np.ndarray, tmp_path: Path, engine: FaceEngine
) -> None:
    if not can_serve():
        pytest.skip("no GStreamer RTSP server (Debian: gir1.2-gst-rtsp-server-1.0 and the GStreamer plugins)")
    enrolled = {"eileen": astronaut, "grace": hopper}
    with gallery_of(tmp_path, engine) as gallery:
        for who, image in enrolled.items():
            gallery.enroll(who, engine.get(image)[0])
        server = Server()
        try:
            url = server.start("--picture", str(astronaut_path), "--size", "512x512", "--fps", "15")
            with Door(engine, gallery, url) as door:
                first = next(iter(door))
        finally:
            server.kill()
    assert isinstance(first, DoorEvent)
    assert (first.outcome, first.subject) == (Outcome.ACCEPT, "eileen")
