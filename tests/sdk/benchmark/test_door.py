"""The door bench and the soak, shortened: that they measure what they say, not how fast this machine is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from qcface_sdk import BackendUnavailableError, FaceEngine
from qcface_sdk.benchmark import door
from qcface_sdk.benchmark.walk import Walk
from qcface_sdk.camera import Capture

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = Walk(size_wh=(320, 240), fps=10, seconds=2.0, pause=0.5, repeats=1, start_size=24.0, end_size=110.0)


@pytest.fixture
def small_engine() -> FaceEngine:
    return FaceEngine(min_face=24)


def test_the_face_in_the_film_has_the_size_it_should(
    small_engine: FaceEngine, astronaut: np.ndarray, tmp_path: Path
) -> None:
    size = small_engine.detect(astronaut)[0].size
    SMALL.write(tmp_path / "walk.mp4", astronaut, size)
    frames = list(Capture(tmp_path / "walk.mp4"))
    assert len(frames) == SMALL.frames
    for frame in frames[8:20:3]:
        wanted = SMALL.face_size(frame.number)
        (face,) = small_engine.detect(frame.image)
        assert wanted is not None
        assert abs(face.size / wanted - 1) < 0.15
    assert SMALL.face_size(22) is None
    assert small_engine.detect(frames[22].image) == ()
    first = SMALL.first_frame_of(60.0)
    assert len(first) == 1
    assert (SMALL.face_size(first[0] - 1) or 0) < 60 <= (SMALL.face_size(first[0]) or 0)


def test_the_bench_plays_in_real_time_and_sees_the_accept(small_engine: FaceEngine) -> None:
    figures = door.measure_door(small_engine, min_face=40.0, walk=SMALL)
    assert figures.accepts == figures.walks == 1
    assert figures.frames + figures.dropped == SMALL.frames
    assert figures.cpu_share > 0
    assert figures.event_ms > 0
    assert figures.latency_p99_ms > 0
    assert np.isfinite(figures.accept_ms)


def test_without_the_portrait_the_error_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match="pip install"):
        door.portrait_path()


def test_a_short_soak_with_camera_drops_passes(tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "tests" / "soak" / "door.py"), "--frames", "240", "--drops", "3"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "soak.json")], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "soak.json").read_text())
    assert figures["connections"] >= 4
    assert figures["accepts"] == figures["openings"] >= 1
    assert figures["events"]["camera_lost"] >= 1  # a connection that is back before the door looks is no loss
    assert figures["doubled_events"] == 0
    assert "password" not in done.stdout + done.stderr
