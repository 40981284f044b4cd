from __future__ import annotations

import threading

import numpy as np
import pytest

from qcface_sdk import FaceEngine, OptionError, ShapeError
from qcface_sdk.camera import CaptureState, FrameFeed, faces_from_boxes

BLANK = np.zeros((48, 64, 3), np.uint8)


def test_the_newest_frame_is_kept_and_drops_are_counted() -> None:
    feed = FrameFeed("csi")
    for tone in range(3):
        feed.push(BLANK + np.uint8(tone))
    frame = feed.read(0)
    assert frame is not None
    assert (frame.number, int(frame.image[0, 0, 0])) == (2, 2)
    assert feed.read(0) is None
    assert feed.status.dropped == 2


def test_reading_waits_and_close_ends_it() -> None:
    feed = FrameFeed()
    threading.Timer(0.05, lambda: feed.push(BLANK)).start()
    assert feed.read(5) is not None
    threading.Timer(0.05, feed.close).start()
    assert feed.read(5) is None
    assert feed.status.state is CaptureState.ENDED


def test_silence_is_a_stall() -> None:
    feed = FrameFeed(stall_timeout=1e-6)
    assert feed.status.state is CaptureState.CONNECTING
    feed.push(BLANK)
    assert feed.status.state is CaptureState.STALLED


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ShapeError):
        FrameFeed().push(np.zeros((48, 64), np.uint8))


def test_boxes_become_faces_with_landmarks(engine: FaceEngine, astronaut: np.ndarray) -> None:
    canvas = np.zeros((700, 1200, 3), np.uint8)
    canvas[100:612, 600:1112] = astronaut
    whole = engine.detect(canvas)[0]
    x1, y1, x2, y2 = whole.bbox
    # Another detector's box is a little off.
    (face,) = faces_from_boxes(canvas, [[x1 - 10, y1 - 12, x2 + 8, y2 + 9]], engine.detect)
    assert np.abs(face.kps - whole.kps).max() < 0.1 * whole.size
    assert faces_from_boxes(canvas, [[10, 10, 200, 200], [1e6, 1e6, 2e6, 2e6]], engine.detect) == ()
    assert faces_from_boxes(canvas, [], engine.detect) == ()


@pytest.mark.parametrize("boxes", [[1, 2, 3, 4, 5], [[1, 2, 3]], [[0, 0, float("nan"), 9]], [1, 2, 3, 4]])
def test_what_are_no_boxes_is_refused(boxes: object) -> None:
    with pytest.raises((OptionError, ValueError)):
        faces_from_boxes(BLANK, boxes, lambda image: ())
