"""The reader on packets that are made up; real streams are in test_rtsp.py and test_mjpeg.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from qcface_sdk import CameraError
from qcface_sdk.camera import CameraAddress, CaptureOptions, av_reader
from qcface_sdk.camera.av_reader import AvPicture, AvReader


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Packet:
    pts: int
    is_keyframe: bool
    time_base = Fraction(1, 1000)

    def decode(self) -> list[Any]:
        return [SimpleNamespace(is_corrupt=False, width=640, height=360, time=self.pts / 1000)]


class MadeUpContainer:
    """Ten packets a second, with a key frame every so often; `arrival` says when each comes, by its time stamp."""

    format = SimpleNamespace(name="rtsp")

    def __init__(self, clock: Clock, packets: int, key_frames: int, arrival: Callable[[float], float]) -> None:
        self.streams = SimpleNamespace(video=[SimpleNamespace()])
        self._clock, self._packets, self._key_frames, self._arrival = clock, packets, key_frames, arrival

    def demux(self, stream: object) -> Iterator[Packet]:
        for number in range(self._packets):
            self._clock.now = 1000 + self._arrival(number / 10)
            yield Packet(100 * number, number % self._key_frames == 0)

    def close(self) -> None:
        pass


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(av_reader, "steady_seconds", made)
    return made


@pytest.fixture
def read(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Iterator[AvPicture | None]]:
    """Read such packets."""

    def pictures(packets: int, key_frames: int, arrival: Callable[[float], float]) -> Iterator[AvPicture | None]:
        container = MadeUpContainer(clock, packets, key_frames, arrival)
        monkeypatch.setattr(AvReader, "_open", lambda self, options: container)
        options = CaptureOptions(max_lag=1.0, stall_timeout=5.0)
        return AvReader(CameraAddress.parse("rtsp://me:topsecret@cam/stream"), options).pictures()

    return pictures


def held_up(begin: float, end: float) -> Callable[[float], float]:
    """Return the arrival of packets that a network holds back for a while, and then brings all at once."""
    return lambda stamp: max(stamp, end) if stamp >= begin else stamp


def test_late_pictures_are_passed_over_up_to_the_next_key_frame(read: Any) -> None:
    taken = [picture is not None for picture in read(60, 10, held_up(2.0, 3.95))]
    assert taken == [not 20 <= number < 30 for number in range(60)]


def test_connection_that_stays_late_is_given_up_after_the_stall_timeout(read: Any, clock: Clock) -> None:
    seen: list[tuple[bool, float]] = []
    pictures = read(20_000, 10, lambda stamp: stamp + min(3.0, stamp))
    with pytest.raises(CameraError, match="only late pictures for 5 s") as caught:
        seen.extend((picture is not None, clock.now) for picture in pictures)
    assert "topsecret" not in str(caught.value)
    late = [time for taken, time in seen if not taken]
    assert [taken for taken, _ in seen] == [time < late[0] for _, time in seen]
    assert 5.0 < clock.now - late[0] < 5.2


def test_who_has_caught_up_waits_for_the_key_frame_as_long_as_it_takes(read: Any) -> None:
    taken = [picture is not None for picture in read(150, 100, held_up(1.0, 2.55))]
    assert taken == [not 10 <= number < 100 for number in range(150)]
