"""A source for pictures that another program reads: DeepStream, GStreamer, a vendor's SDK."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.camera.capture import CaptureState, CaptureStatus
from qcface_sdk.camera.frame import Frame
from qcface_sdk.checks import check_image
from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import OptionError
from qcface_sdk.results import Face


class FrameSource(Protocol):
    """What a door reads from; `Capture` and `FrameFeed` are two."""

    @property
    def name(self) -> str:
        """For messages; without credentials."""

    @property
    def live(self) -> bool:
        """Whether frames come when they come, and are dropped where nobody takes them."""

    @property
    def status(self) -> CaptureStatus:
        """What it is doing now."""

    def read(self, timeout: float | None = None) -> Frame | None:
        """Return a picture that was not returned before, ``None`` when there was none in time."""

    def close(self) -> None:
        """Stop. Harmless when repeated."""


class FrameFeed:
    """Takes the frames that somebody pushes, and keeps the newest. Thread-safe.

    Parameters
    ----------
    name : str
        For messages.
    stall_timeout : float
        Seconds without a frame after which the camera counts as lost.

    Examples
    --------
    >>> feed = FrameFeed("csi-0")
    >>> feed.push(np.zeros((48, 64, 3), np.uint8))
    >>> feed.read(0).number
    0
    """

    live = True

    def __init__(self, name: str = "feed", *, stall_timeout: float = 5.0) -> None:
        self.name = name
        self._stall_timeout = stall_timeout
        self._changed = threading.Condition()
        self._slot: Frame | None = None
        self._arrived = self._dropped = 0
        self._last: float | None = None
        self._closed = False

    def push(self, image: Any, faces: Sequence[Face] | None = None, *, stream_time: float | None = None) -> None:
        """Hand over a frame; never waits.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            BGR. It must not change afterwards: push a copy of a buffer that is used again.
        faces : sequence of Face, optional
            Faces already found, with landmarks; see `faces_from_boxes` for boxes alone. ``None`` lets the door look.
        stream_time : float, optional
            The sender's time stamp in seconds.

        Raises
        ------
        ShapeError, ImageSizeError
            If `image` is not such an array.
        """
        picture = check_image(image)
        now = steady_seconds()
        with self._changed:
            self._dropped += self._slot is not None
            found = None if faces is None else tuple(faces)
            wall = datetime.now(timezone.utc)
            self._slot = Frame(picture, self._arrived, now, now, wall, stream_time, 0, found)
            self._arrived += 1
            self._last = now
            self._changed.notify_all()

    def read(self, timeout: float | None = None) -> Frame | None:
        """Return the newest frame that was not returned before; ``None`` when none came in time, or after `close`."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while self._slot is None:
                left = None if until is None else until - time.monotonic()
                if self._closed or (left is not None and left <= 0):
                    return None
                self._changed.wait(left)
            frame, self._slot = self._slot, None
            return frame

    @property
    def status(self) -> CaptureStatus:
        """What it is doing now."""
        with self._changed:
            age = None if self._last is None else steady_seconds() - self._last
            state = CaptureState.CONNECTING if age is None else CaptureState.RUNNING
            if age is not None and age > self._stall_timeout:
                state = CaptureState.STALLED
            if self._closed:
                state = CaptureState.ENDED
            return CaptureStatus(state, self._arrived, self._dropped, 0, 0, int(age is not None), 0, age, None)

    def close(self) -> None:
        """End the source; a door that reads it ends, too."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def faces_from_boxes(
    image: NDArray[np.uint8], boxes: Any, detect: Callable[[NDArray[np.uint8]], Sequence[Face]]
) -> tuple[Face, ...]:
    """Return the faces in boxes that another detector found, with the landmarks that recognition needs.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        BGR.
    boxes : array of shape (N, 4)
        x1, y1, x2, y2 in pixels, of faces or heads.
    detect : callable
        ``engine.detect``; it looks only at the boxes with a margin, so it costs little.

    Raises
    ------
    OptionError
        If `boxes` has another shape, or holds NaN or infinity.
    """
    rows = np.asarray(boxes, np.float64).reshape(-1, 4) if np.size(boxes) else np.empty((0, 4))
    if np.size(boxes) and np.shape(boxes) != (len(rows), 4):
        raise OptionError(f"boxes must have shape (N, 4), x1 y1 x2 y2 in pixels, got {np.shape(boxes)}")
    if not np.isfinite(rows).all():
        raise OptionError("boxes must be finite numbers, got NaN or infinity")
    height, width = image.shape[:2]
    faces = []
    for x1, y1, x2, y2 in rows:
        dx, dy = 0.4 * (x2 - x1), 0.4 * (y2 - y1)
        left, top = max(0, int(x1 - dx)), max(0, int(y1 - dy))
        part = image[top : min(height, int(y2 + dy) + 1), left : min(width, int(x2 + dx) + 1)]
        if min(part.shape[:2]) < 16:
            continue
        found = detect(part)
        if found:
            face = max(found, key=lambda one: one.size)
            shift = np.array([left, top], np.float32)
            faces.append(Face(face.bbox + np.tile(shift, 2), face.kps + shift, face.det_score))
    return tuple(faces)
