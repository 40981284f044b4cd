"""Every example runs as it is written."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from films import write_film
from qcface_sdk import FaceEngine, Gallery
from qcface_sdk.errors import EventTransportError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.events.webhook import Webhook

REPOSITORY = Path(__file__).resolve().parents[1]


def run(name: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "examples" / name), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_every_example_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert all(f'"{file.name}"' in text for file in (REPOSITORY / "examples").glob("*.py"))


def test_detect_draws_the_face(tmp_path: Path, astronaut_path: Path) -> None:
    done = run("01_detect.py", astronaut_path, folder=tmp_path)
    assert "1 face(s)" in done.stdout, done.stderr
    assert (tmp_path / "detected.png").is_file()


def test_quality_falls_with_blur(tmp_path: Path, astronaut_path: Path) -> None:
    done = run("02_quality.py", astronaut_path, folder=tmp_path)
    rows = [line.split() for line in done.stdout.splitlines()[1:] if "no face" not in line]
    magnitudes = [float(row[1]) for row in rows]
    assert len(magnitudes) >= 4, done.stderr
    assert magnitudes[0] > magnitudes[-1]


@pytest.mark.parametrize(("same", "code", "word"), [(True, 0, "accept"), (False, 1, "reject")])
def test_verify_exit_code_is_the_decision(
    tmp_path: Path, astronaut_path: Path, hopper_path: Path, same: bool, code: int, word: str
) -> None:
    done = run("03_verify.py", astronaut_path, astronaut_path if same else hopper_path, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert word in done.stdout


def test_gallery_recognises_who_was_enrolled(tmp_path: Path, astronaut_path: Path, hopper_path: Path) -> None:
    people = (f"collins={astronaut_path}", f"hopper={hopper_path}")
    done = run("04_gallery.py", "people.db", *people, hopper_path, folder=tmp_path)
    assert "accept: nearest is hopper" in done.stdout, done.stderr


def test_gallery_without_anybody_refuses(tmp_path: Path, hopper_path: Path) -> None:
    done = run("04_gallery.py", "nobody.db", hopper_path, folder=tmp_path)
    assert "reject: nobody is enrolled" in done.stdout, done.stderr


def test_video_reports_each_frame(tmp_path: Path, astronaut: np.ndarray) -> None:
    film = cv2.VideoWriter(str(tmp_path / "walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512))
    for _ in range(3):
        film.write(astronaut)
    film.release()
    done = run("05_video.py", "walk.avi", folder=tmp_path)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert all("quality" in line for line in lines)


@pytest.fixture
def enrolled(tmp_path: Path, astronaut: np.ndarray) -> Path:
    """A gallery with the astronaut in it."""
    with FaceEngine() as engine, Gallery.open(tmp_path / "people.db", contract=engine.contract) as gallery:
        gallery.enroll("collins", engine.get(astronaut)[0])
    return tmp_path / "people.db"


def test_door_accepts_who_is_enrolled(enrolled: Path, tmp_path: Path, astronaut: np.ndarray) -> None:
    write_film(tmp_path / "visit.mp4", [np.roll(astronaut, i % 3, axis=1) for i in range(15)])
    done = run("06_door.py", enrolled, "visit.mp4", folder=tmp_path)
    assert " accept collins" in done.stdout, done.stderr


def test_frames_from_a_real_pipeline_reach_the_door(enrolled: Path, tmp_path: Path, astronaut_path: Path) -> None:
    bindings = Path("/usr/lib/python3/dist-packages/gi")
    (tmp_path / "gi").symlink_to(bindings)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    check = "import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst; Gst.init(None)"
    check += "; assert Gst.ElementFactory.find('imagefreeze')"
    if subprocess.run([sys.executable, "-c", check], capture_output=True, env=env).returncode:
        pytest.skip("no GStreamer bindings (Debian: python3-gi, gir1.2-gstreamer-1.0) for this Python's version")
    pipeline = f"filesrc location={astronaut_path} ! pngdec ! imagefreeze num-buffers=60 is-live=true"
    command = [sys.executable, str(REPOSITORY / "examples" / "07_frames_from_gstreamer.py"), str(enrolled)]
    done = subprocess.run(
        [*command, f"{pipeline} ! video/x-raw,framerate=15/1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
    )
    assert "decision accept collins" in done.stdout, done.stderr
    assert "60 frames arrived" in done.stdout


def test_looking_for_cameras_without_the_package_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("onvif") is not None:
        pytest.skip("onvif-python is installed; tests/sdk/camera/test_discovery.py checks what is asked of it")
    done = run("08_find_cameras.py", folder=tmp_path)
    assert done.returncode == 1
    assert "pip install onvif-python" in done.stderr


def test_webhook_receiver_takes_signed_events_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789abcdef\n")
    command = [sys.executable, "-u", str(REPOSITORY / "examples" / "11_webhook_receiver.py"), "secret", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline().split()[-1])
        event = DoorEvent.new(EventKind.TAMPER, "front", "cam")
        with pytest.raises(EventTransportError, match="401"):
            Webhook(f"http://127.0.0.1:{port}/", b"another secret of 16").emit(event)
        for _ in range(2):
            Webhook(f"http://127.0.0.1:{port}/", b"0123456789abcdef").emit(event)
        process.terminate()
        assert process.stdout.read().count("front: tamper") == 1
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_mqtt_door_controller_compiles() -> None:
    # It is run, with commands good and bad, by tests/sdk/actuators/test_mqtt.py, where there is a broker.
    compile((REPOSITORY / "examples" / "10_mqtt_door_controller.py").read_text(), "controller", "exec")


def test_door_clip_and_configuration_admit_the_person(tmp_path: Path) -> None:
    pytest.importorskip("skimage", reason="it carries the portrait")
    done = run("12_door_clip.py", ".", folder=tmp_path)
    assert "enrolled eileen-collins" in done.stdout, done.stderr
    (tmp_path / "door.toml").write_text((REPOSITORY / "examples" / "door.toml").read_text())
    command = [sys.executable, "-m", "qcface_sdk.cli", "run", "--config", "door.toml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in (tmp_path / "door_state" / "events.jsonl").read_text().splitlines()]
    assert [event["subject"] for event in events if event["outcome"] == "accept"] == ["eileen-collins"]


def test_door_configuration_runs_from_a_fresh_checkout(tmp_path: Path) -> None:
    for name in ("door.toml", "corridor.mp4"):
        (tmp_path / name).write_bytes((REPOSITORY / "examples" / name).read_bytes())
    command = [sys.executable, "-m", "qcface_sdk.cli", "run", "--config", "door.toml"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in (tmp_path / "door_state" / "events.jsonl").read_text().splitlines()]
    assert "accept" not in [event["outcome"] for event in events], "nobody is enrolled"
    assert "reject" in [event["outcome"] for event in events]
