from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk.bundle import DEFAULT_BUNDLE
from qcface_sdk.cli import demo
from qcface_sdk.demo.photographs import COLLINS, HOPPER
from qcface_sdk.demo.report import Report
from qcface_sdk.demo.scene import run_demo
from qcface_sdk.demo.stream import StreamFrame
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import BackendUnavailableError, ImageReadError


@pytest.fixture(scope="module")
def default_bundle() -> tuple[str, str]:
    """Options that choose the bundle in the package; skips without the packages that carry the photographs."""
    try:
        COLLINS.locate()
        HOPPER.locate()
    except BackendUnavailableError as error:
        pytest.skip(str(error))
    return "--model", str(DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def report(default_bundle: tuple[str, str]) -> Report:
    """A real report with short walks."""
    with FaceEngine(min_face=20) as engine:
        return run_demo(engine, walk_frames=1)


def test_demo_writes_page_sheet_and_figures(qcface, default_bundle: tuple[str, str], tmp_path: Path) -> None:
    run = qcface("demo", "--output", tmp_path / "demo", "--json", *default_bundle)
    assert run.code == 0
    assert run.err == ""
    assert run.document["ok"] is True
    folder = tmp_path / "demo"
    assert sorted(file.name for file in folder.iterdir()) == ["contact_sheet.png", "demo.html", "demo.json"]
    assert cv2.imread(str(folder / "contact_sheet.png")) is not None
    assert (folder / "demo.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_demo_prints_decisions_and_how_quality_falls(qcface, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "run_demo", lambda engine, **options: report)
    run = qcface("demo")
    assert run.code == 0
    assert "The same photograph" in run.out
    assert "accept" in run.out
    assert "stranger walk" in run.out
    assert "Quality of the aligned face under rising damage" in run.out
    assert "easier than a new photograph" in run.out


def test_demo_that_fails_is_status_1(qcface, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    shots = tuple(replace(shot, result=report.shots[0].result) for shot in report.shots)
    confused = replace(report, shots=shots)
    monkeypatch.setattr(demo, "run_demo", lambda engine, **options: confused)
    run = qcface("demo", "--json")
    assert run.code == 1
    assert run.document["ok"] is False
    assert "Grace Hopper was accepted" in run.err


def test_demo_without_the_photographs_names_the_extra(qcface, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(engine, **options):
        raise BackendUnavailableError('run: pip install "qcface-sdk[demo]"')

    monkeypatch.setattr(demo, "run_demo", absent)
    run = qcface("demo")
    assert run.code == 4
    assert 'pip install "qcface-sdk[demo]"' in run.err


def _frames(*counts: int):
    def watch(source, engine, **options):
        faces = engine.get(_picture())
        for number, count in enumerate(counts):
            yield StreamFrame(number, _picture(), faces[:count], (), 1.5)

    return watch


def _picture() -> np.ndarray:
    image = np.full((320, 384, 3), 20, np.uint8)
    image[104:184, 136:216] = (60, 255, 255)
    return image


def test_demo_camera_prints_one_json_line_per_frame_and_keeps_frames(
    qcface, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo, "watch", _frames(0, 1))
    run = qcface("demo", "--camera", "0", "--frames", "2", "--output", tmp_path / "seen", "--json", "--min-face", "40")
    assert run.code == 0
    assert [len(line["faces"]) for line in run.lines] == [0, 1]
    assert sorted(file.name for file in (tmp_path / "seen").iterdir()) == ["frame_000000.jpg", "frame_000001.jpg"]


def test_demo_camera_that_sees_nobody_asks_to_retry(qcface, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "watch", _frames(0, 0))
    run = qcface("demo", "--camera", "0")
    assert run.code == 3
    assert "frame      0  0 faces" in run.out


def test_demo_lost_camera_is_bad_input(qcface, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(source, engine, **options):
        raise ImageReadError("camera 0 gives no frame after 3; was it unplugged, or is the file broken?")
        yield

    monkeypatch.setattr(demo, "watch", lost)
    run = qcface("demo", "--camera", "0")
    assert run.code == 2
    assert "unplugged" in run.err


def test_demo_missing_video_is_bad_input(qcface, tmp_path: Path) -> None:
    run = qcface("demo", "--video", tmp_path / "none.mp4")
    assert run.code == 2
    assert "no such file" in run.err


def test_demo_gallery_without_a_source_is_refused(qcface, tmp_path: Path) -> None:
    run = qcface("demo", "--gallery", tmp_path / "staff.db")
    assert run.code == 2
    assert "--camera" in run.err


def test_demo_missing_gallery_is_a_gallery_problem(qcface, tmp_path: Path) -> None:
    assert qcface("demo", "--camera", "0", "--gallery", tmp_path / "none.db").code == 5
