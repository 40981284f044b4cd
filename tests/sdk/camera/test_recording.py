from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.camera.recording import RecordingClock

STAMPS = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


@given(STAMPS)
def test_time_always_rises_and_never_leaps(stamps: list[float | None]) -> None:
    clock = RecordingClock()
    times = [clock.seconds(stamp) for stamp in stamps]
    assert times[0] == 0
    assert all(0 < b - a <= 5.0 for a, b in pairwise(times))


def test_good_stamps_are_kept() -> None:
    clock = RecordingClock()
    assert [clock.seconds(40 + i / 8) for i in range(5)] == [i / 8 for i in range(5)]


def test_wait_follows_the_recording() -> None:
    clock = RecordingClock()
    assert clock.wait(0.0, 100.0) == 0.0
    assert clock.wait(0.5, 100.2) == 0.3 or abs(clock.wait(0.5, 100.2) - 0.3) < 1e-9
    assert clock.wait(0.5, 101.0) < 0
