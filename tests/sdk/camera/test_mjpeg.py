"""Motion JPEG over HTTP: a stream without time stamps, slower than the 25 pictures a second that FFmpeg assumes."""

from __future__ import annotations

import numpy as np

from mjpeg_camera import MjpegCamera, visits
from qcface_sdk.camera import Capture, CaptureOptions
from qcface_sdk.clock import steady_seconds


def test_slow_camera_without_time_stamps_is_never_skipped(rng: np.random.Generator) -> None:
    camera = MjpegCamera(visits(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8))).start()
    capture = Capture(camera.url, CaptureOptions(max_lag=0.2, stall_timeout=2.0))
    # At 10 a second, made-up stamps would be 0.2 s behind after four pictures.
    end = steady_seconds() + 3.0
    numbers = []
    while steady_seconds() < end:
        frame = capture.read(0.2)
        if frame is not None:
            numbers.append(frame.number)
    status = capture.status
    capture.close()
    camera.stop()
    assert status.skipped == 0
    assert status.connections == 1
    assert len(numbers) >= 8
