"""A real RTSP camera on the loopback device, killed and started again under load."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

import pytest

from qcface_sdk import CameraAccessError
from qcface_sdk.camera import Capture, CaptureOptions, CaptureState
from rtsp_camera import Server, can_serve

OPTIONS = CaptureOptions(stall_timeout=1.5, connect_timeout=5, first_delay=0.05, longest_delay=0.2)

if not can_serve():
    pytest.skip(
        "no GStreamer RTSP server (Debian: gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good and -bad)",
        allow_module_level=True,
    )


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.kill()


def take(capture: Capture, count: int, seconds: float = 10.0) -> list[tuple[int, int]]:
    """Take `count` pictures; return their sizes."""
    sizes, until = [], time.monotonic() + seconds
    while len(sizes) < count:
        assert time.monotonic() < until, capture.status
        if (frame := capture.read(0.2)) is not None:
            sizes.append(frame.size_wh)
            assert frame.image.any()
    return sizes


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_pictures_arrive_and_a_slow_taker_builds_no_backlog(server: Server, transport: str) -> None:
    url = server.start()
    options = CaptureOptions(transport=transport, stall_timeout=2, connect_timeout=5)
    with Capture(url, options) as capture:
        take(capture, 3)
        time.sleep(0.5)
        first = capture.read(1)
        assert first is not None
        # What is taken after a pause is as old as one interval between pictures, not as old as the pause.
        assert capture.status.dropped >= 5
        assert time.monotonic() - first.arrived < 0.3 or transport == "udp"
    assert capture.status.state is CaptureState.ENDED


def test_killed_and_restarted_with_another_codec_and_size(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    settings = [("h264", "320x240"), ("mjpeg", "160x128"), ("h264", "640x360")]
    with caplog.at_level(logging.DEBUG):
        url = server.start("--codec", settings[0][0], "--size", settings[0][1])
        with Capture(url, OPTIONS) as capture:
            for round_number, (codec, size) in enumerate(settings):
                if round_number:
                    server.kill()
                    time.sleep(0.3)
                    server.start("--codec", codec, "--size", size)
                wanted = tuple(int(side) for side in size.split("x"))
                until = time.monotonic() + 15
                while take(capture, 1, 15)[-1] != wanted:
                    assert time.monotonic() < until
                take(capture, 5)
            assert capture.status.connections == len(settings)
            assert capture.status.state is CaptureState.RUNNING
    assert "topsecret" not in caplog.text


def test_a_camera_that_freezes_without_a_word_is_left_and_found_again(server: Server) -> None:
    import signal

    with Capture(server.start(), OPTIONS) as capture:
        take(capture, 3)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 6
        while capture.status.state is not CaptureState.LOST and capture.status.failures == 0:
            capture.read(0.1)
            assert time.monotonic() < until, capture.status
        server.process.send_signal(signal.SIGCONT)
        take(capture, 3, 15)
        assert capture.status.connections >= 2


def test_wrong_credentials_are_said_and_not_shown(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.start("--user", "viewer", "--password", "othersecret")
    options = CaptureOptions(attempts=2, first_delay=0.05, longest_delay=0.1)
    with (
        caplog.at_level(logging.DEBUG),
        Capture(f"rtsp://viewer:topsecret@127.0.0.1:{server.port}/stream", options) as capture,
    ):
        with pytest.raises(CameraAccessError, match="credentials") as caught:
            capture.read(10)
        assert "topsecret" not in f"{caught.value} {capture.status} {capture!r}"
    assert "topsecret" not in caplog.text
    with Capture(f"rtsp://viewer:othersecret@127.0.0.1:{server.port}/stream", options) as capture:
        take(capture, 2)


def test_two_cameras_in_one_process(server: Server) -> None:
    other = Server()
    try:
        urls = server.start("--size", "320x240"), other.start("--size", "160x128", "--codec", "mjpeg")
        with Capture(urls[0], OPTIONS) as one, Capture(urls[1], OPTIONS) as two:
            assert set(take(one, 5)) == {(320, 240)}
            assert set(take(two, 5)) == {(160, 128)}
            other.kill()
            assert set(take(one, 20)) == {(320, 240)}
    finally:
        other.kill()
