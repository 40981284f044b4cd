"""The whole chain on real video: people who walk up and stop in a corridor, and a room without a face."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from qcface_sdk import Face, FaceEngine, Gallery, Outcome


@pytest.fixture(scope="module")
def wide_engine() -> Iterator[FaceEngine]:
    """The clips are 480 pixels wide: faces are small."""
    with FaceEngine(min_face=24) as engine:
        yield engine


@pytest.fixture(scope="module")
def videos(data_dir: Path) -> dict[str, Any]:
    return {"folder": data_dir / "video", **json.loads((data_dir / "video" / "annotations.json").read_text())}


def frames(videos: dict[str, Any], name: str) -> Iterator[tuple[np.ndarray, list[dict[str, Any]]]]:
    capture = cv2.VideoCapture(str(videos["folder"] / name))
    for record in videos[name]["frames"]:
        read, image = capture.read()
        assert read
        yield image, record["faces"]


def overlap(a: np.ndarray, b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inside = max(0.0, width) * max(0.0, height)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


def named(faces: tuple[Face, ...], marks: list[dict[str, Any]]) -> list[tuple[str, Face]]:
    return [(mark["person"], face) for mark in marks for face in faces if overlap(face.bbox, mark["box"]) > 0.5]


def test_people_in_a_corridor_are_found_and_never_confused(
    videos: dict[str, Any], wide_engine: FaceEngine, tmp_path: Path
) -> None:
    marked = found = 0
    seen: list[list[tuple[str, Face]]] = []
    for image, marks in frames(videos, "corridor_pause.mp4"):
        faces = wide_engine.get(image)
        seen.append(named(faces, marks))
        marked, found = marked + len(marks), found + len(seen[-1])
        assert len(faces) == len(seen[-1]), "something that is no face was found"
    assert found / marked > 0.85
    *earlier, last = seen
    threshold = wide_engine.threshold(1e-4)
    with Gallery.open(tmp_path / "people.db", contract=wide_engine.contract) as gallery:
        for person, face in last:
            gallery.enroll(person, face)
        answers = [
            (person, gallery.identify(face, threshold=threshold, retry_below=wide_engine.retry_below))
            for pairs in earlier
            for person, face in pairs
            if person in {name for name, _ in last}
        ]
    accepted = [(person, answer.subject) for person, answer in answers if answer.decision is Outcome.ACCEPT]
    assert all(person == subject for person, subject in accepted)
    assert len(accepted) / len(answers) > 0.7


def test_a_room_without_a_face_gives_none(videos: dict[str, Any], wide_engine: FaceEngine) -> None:
    assert not [faces for image, _ in frames(videos, "no_face.mp4") if (faces := wide_engine.detect(image))]
