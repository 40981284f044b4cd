from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk.demo import stream
from qcface_sdk.demo.stream import watch
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ImageReadError, OptionError
from qcface_sdk.gallery import Gallery
from qcface_sdk.results import Outcome

ANN = (60, 255, 255)


def _frame(colour: tuple[int, int, int] | None) -> np.ndarray:
    image = np.full((320, 384, 3), 20, np.uint8)
    if colour is not None:
        image[104:184, 136:216] = colour
    return image


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three frames: nobody, then somebody twice."""
    file = tmp_path / "visit.avi"
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, (384, 320))
    if not writer.isOpened():
        pytest.skip("this OpenCV build writes no MJPG video")
    for colour in (None, ANN, ANN):
        writer.write(_frame(colour))
    writer.release()
    return file


class _Camera:
    """A camera that gives some frames and is then unplugged."""

    def __init__(self, frames: int) -> None:
        self.left, self.released = frames, False

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, _frame(ANN)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True


def test_watch_a_video_yields_its_frames_and_ends_with_it(video: Path, tiny_engine: FaceEngine) -> None:
    frames = list(watch(video, tiny_engine, frames=100))
    assert [frame.number for frame in frames] == [0, 1, 2]
    assert [len(frame.faces) for frame in frames] == [0, 1, 1]
    assert all(frame.annotated.shape == (320, 384, 3) for frame in frames)
    assert all(frame.results == () for frame in frames)


def test_watch_stops_after_the_frames_asked_for(video: Path, tiny_engine: FaceEngine) -> None:
    assert len(list(watch(video, tiny_engine, frames=2))) == 2


def test_watch_with_a_gallery_names_people(video: Path, tiny_engine: FaceEngine, tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "staff.db") as gallery:
        gallery.enroll("ann", tiny_engine.get(_frame(ANN))[0])
        frames = list(watch(video, tiny_engine, frames=3, gallery=gallery))
    assert [result.subject for frame in frames for result in frame.results] == ["ann", "ann"]
    document = frames[1].to_dict()
    assert document["faces"][0]["identification"]["decision"] == Outcome.ACCEPT.value


def test_watch_a_missing_video_is_a_named_error(tiny_engine: FaceEngine, tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="no such file"):
        next(watch(tmp_path / "none.mp4", tiny_engine, frames=1))


def test_watch_a_file_that_is_no_video_is_a_named_error(tiny_engine: FaceEngine, tmp_path: Path) -> None:
    file = tmp_path / "notes.mp4"
    file.write_text("these are notes")
    with pytest.raises(ImageReadError, match=r"notes\.mp4"):
        next(watch(file, tiny_engine, frames=1))


def test_watch_a_camera_that_is_not_there_is_a_named_error(tiny_engine: FaceEngine) -> None:
    with pytest.raises(ImageReadError, match="camera 97"):
        next(watch(97, tiny_engine, frames=1))


def test_watch_a_camera_that_is_unplugged_is_a_named_error(
    tiny_engine: FaceEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = _Camera(2)
    monkeypatch.setattr(stream, "_open", lambda source: camera)
    seen = []
    with pytest.raises(ImageReadError, match="camera 0 gives no frame after 2"):
        seen.extend(frame.number for frame in watch(0, tiny_engine, frames=9))
    assert camera.released


def test_watch_left_early_frees_the_camera(tiny_engine: FaceEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = _Camera(5)
    monkeypatch.setattr(stream, "_open", lambda source: camera)
    frames = watch(0, tiny_engine, frames=5)
    next(frames)
    frames.close()
    assert camera.released


def test_watch_no_frames_is_refused(tiny_engine: FaceEngine) -> None:
    with pytest.raises(OptionError, match="frames"):
        next(watch(0, tiny_engine, frames=0))
