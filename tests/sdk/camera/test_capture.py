from __future__ import annotations

import http.server
import itertools
import logging
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from fake_cameras import FakeCamera, FakePicture, FakeReader, numbered
from films import moving_pattern, write_film
from qcface_sdk import BackendUnavailableError, CameraError, OptionError
from qcface_sdk.camera import Capture, CaptureOptions, CaptureState, av_reader, gstreamer_reader

QUICK = CaptureOptions(first_delay=0.01, longest_delay=0.02, stall_timeout=0.3, connect_timeout=1.0)
URL = "rtsp://admin:topsecret@cam/stream"


def wait_for(condition: object, seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


class TestNewestPicture:
    def test_a_slow_taker_gets_the_newest_and_the_rest_is_never_converted(self) -> None:
        converted: list[int] = []
        pictures = numbered(200)
        for picture in pictures:
            picture.converted = converted
        hold = threading.Event()
        with Capture(URL, QUICK, open_source=FakeCamera([FakeReader([*pictures, hold.wait])])) as capture:
            capture.read(0)
            wait_for(lambda: capture.status.arrived == 200)
            frame = capture.read(1)
            assert frame is not None
            assert frame.number == 199
            assert capture.read(0) is None
            assert len(converted) <= 2
            assert capture.status.dropped >= 198
            hold.set()

    def test_every_frame_waits_for_its_taker(self) -> None:
        camera = FakeCamera([FakeReader(numbered(50))])
        with Capture(URL, CaptureOptions(every_frame=True, attempts=1), open_source=camera) as capture:
            numbers = [frame.number for _ in range(50) if (frame := capture.read(5)) is not None]
            assert numbers == list(range(50))
            assert capture.status.dropped == 0

    def test_age_counts_from_arrival(self) -> None:
        hold = threading.Event()
        camera = FakeCamera([FakeReader([*numbered(1), hold.wait])])
        with Capture(URL, QUICK, open_source=camera) as capture:
            frame = capture.read(1)
            assert frame is not None
            assert frame.time == frame.arrived
            wait_for(lambda: (capture.status.age or 0) > 0.05)
            hold.set()


class TestReconnect:
    def test_drops_are_survived_one_after_the_other(self, caplog: pytest.LogCaptureFixture) -> None:
        hold = threading.Event()
        readers: list[FakeReader | Exception] = []
        for number in range(20):
            readers += [FakeReader([*numbered(3, number), CameraError("cable pulled")]), CameraError("no route")]
        readers.append(FakeReader([*numbered(1, 99), hold.wait]))
        with (
            caplog.at_level(logging.DEBUG, "qcface_sdk"),
            Capture(URL, QUICK, open_source=FakeCamera(readers)) as capture,
        ):
            wait_for(lambda: (capture.read(0.05), capture.status.connections == 21)[1], 20)
            assert capture.status.state is CaptureState.RUNNING
            assert capture.status.error is None
            hold.set()
        assert "topsecret" not in caplog.text
        assert all(isinstance(r, Exception) or r.closed.is_set() for r in readers)

    def test_connection_number_of_a_frame_rises_with_each_reconnect(self) -> None:
        readers: list[FakeReader | Exception] = [FakeReader(numbered(2)) for _ in range(3)]
        options = CaptureOptions(every_frame=True, attempts=1, first_delay=0.01, longest_delay=0.01)
        with Capture(URL, options, open_source=FakeCamera(readers)) as capture:
            assert [capture.read(2).connection for _ in range(2)] == [0, 0]  # type: ignore[union-attr]

    def test_it_gives_up_after_so_many_attempts(self) -> None:
        camera = FakeCamera([])
        options = CaptureOptions(attempts=4, first_delay=0.01, longest_delay=0.02)
        with Capture(URL, options, open_source=camera) as capture:
            with pytest.raises(CameraError, match="no more of it"):
                capture.read(5)
            assert camera.opened == 4
            assert capture.status.state is CaptureState.FAILED

    def test_a_driver_that_blocks_shows_as_stalled(self) -> None:
        hold = threading.Event()
        with Capture(URL, QUICK, open_source=FakeCamera([FakeReader([*numbered(1), hold.wait])])) as capture:
            assert capture.read(1) is not None
            wait_for(lambda: capture.status.state is CaptureState.STALLED)
            hold.set()

    def test_a_fault_of_our_own_does_not_die_unseen(self) -> None:
        camera = FakeCamera([FakeReader([ZeroDivisionError("ours")])])
        with Capture(URL, QUICK, open_source=camera) as capture, pytest.raises(CameraError, match="ZeroDivisionError"):
            capture.read(5)

    def test_a_picture_that_cannot_be_converted_is_counted_and_passed_over(self) -> None:
        class Broken(FakePicture):
            def to_bgr(self) -> np.ndarray:
                raise ValueError("swscale")

        script = [Broken(np.zeros((4, 4, 3), np.uint8)), *numbered(1, 7)]
        options = CaptureOptions(every_frame=True, attempts=1)
        with Capture(URL, options, open_source=FakeCamera([FakeReader(script)])) as capture:
            frame = capture.read(5)
            assert frame is not None
            assert frame.image[0, 0, 0] == 7
            assert capture.status.damaged == 1

    def test_close_ends_a_waiting_reader_and_is_harmless_twice(self) -> None:
        capture = Capture(URL, QUICK, open_source=FakeCamera([]))
        answers: list[object] = []
        taker = threading.Thread(target=lambda: answers.append(capture.read(10)))
        taker.start()
        capture.close()
        capture.close()
        taker.join(5)
        assert answers == [None]

    def test_close_ends_a_capture_whose_pictures_are_all_passed_over(self) -> None:
        reader = FakeReader(itertools.repeat(None))
        capture = Capture(URL, QUICK, open_source=FakeCamera([reader]))
        assert capture.read(0.05) is None
        capture.close()
        assert reader.closed.is_set()
        assert capture.status.state is CaptureState.ENDED


class TestFiles:
    @pytest.fixture
    def film(self, tmp_path: Path) -> Path:
        return write_film(tmp_path / "walk.mp4", moving_pattern(30))

    def test_every_picture_comes_in_order_with_its_time(self, film: Path) -> None:
        with Capture(film) as capture:
            frames = list(capture)
        assert [frame.number for frame in frames] == list(range(30))
        assert np.allclose([frame.time for frame in frames], np.arange(30) / 10)
        assert capture.status.state is CaptureState.ENDED
        error = np.abs(frames[5].image.astype(int) - moving_pattern(30)[5].astype(int)).mean()
        assert error < 20

    def test_loop_begins_again_and_time_goes_on(self, film: Path) -> None:
        with Capture(film, CaptureOptions(loop=True)) as capture:
            times = [frame.time for frame, _ in zip(capture, range(70), strict=False)]
        assert np.allclose(np.diff(times), 0.1)

    def test_realtime_plays_at_its_own_speed_and_drops(self, tmp_path: Path) -> None:
        film = write_film(tmp_path / "fast.mp4", moving_pattern(30), fps=100)
        with Capture(film, CaptureOptions(realtime=True)) as capture:
            start = time.monotonic()
            frames = [frame for frame in capture if time.sleep(0.05) is None]
            assert time.monotonic() - start >= 0.28
        assert frames[-1].number == 29
        assert len(frames) + capture.status.dropped == 30

    @pytest.mark.parametrize("content", [None, b"", b"this is not a film" * 100])
    def test_no_film_is_an_error_at_once(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "x.mp4"
        if content is not None:
            path.write_bytes(content)
        with Capture(path) as capture, pytest.raises(CameraError, match=r"x\.mp4"):
            capture.read(5)

    def test_corrupt_pieces_are_passed_over(self, tmp_path: Path, rng: np.random.Generator) -> None:
        film = write_film(tmp_path / "walk.ts", moving_pattern(60), format="mpegts")
        data = bytearray(film.read_bytes())
        for start in range(20_000, len(data) - 400, 9_000):
            data[start : start + 300] = rng.integers(0, 256, 300, dtype=np.uint8).tobytes()
        film.write_bytes(data)
        with Capture(film) as capture:
            frames = list(capture)
        assert 10 < len(frames) <= 60
        assert capture.status.damaged > 0
        assert capture.status.state is CaptureState.ENDED

    def test_resolution_may_change_in_mid_stream(self, tmp_path: Path) -> None:
        parts = [
            write_film(tmp_path / f"{w}.h264", moving_pattern(8, (w, h)), format="h264").read_bytes()
            for w, h in ((160, 120), (320, 240))
        ]
        (tmp_path / "both.h264").write_bytes(b"".join(parts))
        with Capture(tmp_path / "both.h264") as capture:
            sizes = [frame.size_wh for frame in capture]
        assert sizes.count((160, 120)) == 8
        assert sizes.count((320, 240)) == 8

    def test_grey_pictures_become_three_equal_channels(self, tmp_path: Path) -> None:
        greys = [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY) for p in moving_pattern(3)]
        film = write_film(tmp_path / "night.avi", [cv2.cvtColor(g, cv2.COLOR_GRAY2BGR) for g in greys], codec="mjpeg")
        with Capture(film) as capture:
            frame = next(iter(capture))
        assert frame.image.shape == (120, 160, 3)
        assert np.ptp(frame.image.astype(int), axis=2).max() <= 4

    def test_sound_alone_is_no_camera(self, tmp_path: Path) -> None:
        import wave

        with wave.open(str(tmp_path / "x.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16000))
        with Capture(tmp_path / "x.wav") as capture, pytest.raises(CameraError, match="no video"):
            capture.read(5)


class TestHttp:
    def test_mjpeg_over_http_and_credentials_in_no_message(self, caplog: pytest.LogCaptureFixture) -> None:
        jpegs = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in moving_pattern(10)]

        class Camera(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if "Basic" not in (self.headers.get("Authorization") or ""):
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="cam"')
                    self.end_headers()
                    return
                self.send_response(200 if self.path == "/video" else 404)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for jpeg in jpegs:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(head.encode() + jpeg + b"\r\n")

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        options = CaptureOptions(attempts=1, every_frame=True)
        with caplog.at_level(logging.DEBUG):
            with Capture(f"http://me:topsecret@127.0.0.1:{port}/video", options) as capture:
                frame = capture.read(10)
                assert frame is not None
                assert frame.size_wh == (160, 120)
            for user, path, words in (("", "video", "refused"), ("me:topsecret@", "nothing", "cannot open")):
                with Capture(f"http://{user}127.0.0.1:{port}/{path}", options) as capture:
                    with pytest.raises(CameraError, match=words) as caught:
                        capture.read(10)
                    assert "topsecret" not in str(caught.value)
                    assert caught.value.__cause__ is None
        server.shutdown()
        server.server_close()
        assert "topsecret" not in caplog.text


def test_options_out_of_range_are_refused() -> None:
    for wrong in (
        {"transport": "smoke"},
        {"stall_timeout": 0},
        {"attempts": 0},
        {"first_delay": 9, "longest_delay": 1},
        {"max_lag": float("nan")},
    ):
        with pytest.raises(OptionError):
            CaptureOptions(**wrong)  # type: ignore[arg-type]


def test_unknown_hardware_decoder_is_named(tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", moving_pattern(2))
    with Capture(film, CaptureOptions(hardware="abacus")) as capture, pytest.raises(CameraError, match="abacus"):
        capture.read(5)


def test_missing_pyav_names_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(BackendUnavailableError, match="pip install"):
        av_reader.load_av()
    with Capture(tmp_path / "a.mp4") as capture, pytest.raises(BackendUnavailableError):
        capture.read(5)


def test_opencv_without_gstreamer_is_an_honest_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer_reader, "_built_with_gstreamer", lambda: False)
    with Capture("gst: videotestsrc ! appsink") as capture, pytest.raises(BackendUnavailableError, match="GStreamer"):
        capture.read(5)


def test_gstreamer_pipelines_go_through_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    class Video:
        def __init__(self, pipeline: str, backend: int) -> None:
            assert pipeline == "nvarguscamerasrc ! appsink"
            self.left = 3

        def isOpened(self) -> bool:
            return True

        def read(self) -> tuple[bool, np.ndarray | None]:
            self.left -= 1
            return (self.left >= 0), np.full((20, 20), 9, np.uint8)

        def release(self) -> None:
            pass

    monkeypatch.setattr(gstreamer_reader, "_built_with_gstreamer", lambda: True)
    monkeypatch.setattr(cv2, "VideoCapture", Video)
    options = CaptureOptions(attempts=1, every_frame=True)
    with Capture("gst: nvarguscamerasrc ! appsink", options) as capture:
        frames = [capture.read(5) for _ in range(3)]
        assert [frame.image.shape for frame in frames if frame is not None] == [(20, 20, 3)] * 3
        with pytest.raises(CameraError, match="stopped"):
            capture.read(5)
