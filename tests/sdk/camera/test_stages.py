from __future__ import annotations

import time

import pytest

from qcface_sdk import GalleryError
from qcface_sdk.camera.stages import StageError, Stages


def test_every_error_becomes_one_kind_and_foreign_messages_stay_inside() -> None:
    stages = Stages(1.0)

    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(StageError, match="search failed: disk full") as known:
        stages.run("search", lambda: fail(GalleryError("disk full")))
    with pytest.raises(StageError) as foreign:
        stages.run("open", lambda: fail(OSError("rtsp://me:topsecret@cam")))
    assert known.value.stage == "search"
    assert "topsecret" not in str(foreign.value)
    assert stages.succeeded == set()


def test_too_late_is_an_error_although_there_is_an_answer() -> None:
    stages = Stages(0.01)
    with pytest.raises(StageError, match="took"):
        stages.run("embed", lambda: time.sleep(0.03))
    assert stages.run("embed", lambda: 7) == 7
    assert stages.succeeded == {"embed"}


def test_durations_are_kept_and_a_running_stage_shows() -> None:
    stages = Stages(1.0)
    seen = stages.run("detect", lambda: stages.busy)
    assert seen is not None
    assert seen[0] == "detect"
    assert stages.busy is None
    for milliseconds in range(1, 101):
        stages.note("frame", milliseconds / 1e3)
    times = stages.times()["frame"]
    assert (times.runs, round(times.median_ms, 1)) == (100, 50.5)
    assert 99 <= times.p99_ms <= 100


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Stages(1.0).run("detect", interrupt)
