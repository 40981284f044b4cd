"""The service, a camera and a person at the console: enrol from a file, be let in, be removed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the console needs the extra server")

from broker import wait_until
from browser import open_browser, open_page, sign_in
from mjpeg_camera import MjpegCamera, visits
from qcface_sdk import FaceEngine, Gallery
from qcface_sdk.api import KeyFile, Role
from qcface_sdk.camera import Capture
from service_process import ServiceProcess, enrol


def test_enrolled_at_the_console_let_in_at_the_door_and_removed(
    tmp_path: Path, engine: FaceEngine, astronaut: np.ndarray, astronaut_path: Path, hopper: np.ndarray
) -> None:
    enrol(tmp_path / "people.db", engine, "grace", hopper)
    key = KeyFile(tmp_path / "keys.json").add("desk", Role.ADMIN)
    camera = MjpegCamera(visits(astronaut)).start()
    more = '[api]\nkeys = "keys.json"\nport = 0'
    running = ServiceProcess(tmp_path, source=camera.url, capture="", more=more, rules="fmr = 1e-3").start()
    try:
        with open_browser() as browser, open_page(browser) as page:
            sign_in(page, re.findall(r"console at (http://[^\s\"]+)", "".join(running.lines))[-1], key)
            page.wait_for_selector("#live-faces li")

            page.click('[data-tab="enroll"]')
            page.fill("#subject", "eileen")
            page.set_input_files("#pictures", str(astronaut_path))
            page.wait_for_selector("#previews li.accept")
            page.click("#enroll-button")
            page.wait_for_selector("#message.good")

            assert wait_until(lambda: any(event.subject == "eileen" for event in running.accepts()), 40)
            page.click('[data-tab="events"]')
            page.wait_for_selector("#event-rows td.accept")
            assert "eileen" in page.inner_text("#event-rows tr:has(td.accept)")

            page.click('[data-tab="people"]')
            page.on("dialog", lambda dialog: dialog.accept())
            page.click("#people-rows tr:has-text('eileen') button.danger")
            page.wait_for_selector("#receipt", state="visible")
            assert '"subject": "eileen"' in page.inner_text("#receipt")
            assert page.inner_text("#people-count") == "1 enrolled"
    finally:
        camera.stop()
        assert running.end() == 0


def test_decision_on_the_corridor_clip_is_seen_at_the_console(
    tmp_path: Path, engine: FaceEngine, data_dir: Path
) -> None:
    clip = data_dir / "video" / "corridor_pause.mp4"
    with FaceEngine(min_face=24) as near, Gallery.open(tmp_path / "people.db", contract=engine.contract) as gallery:
        for number, face in enumerate(near.get(list(Capture(clip))[-1].image)):
            gallery.enroll(f"visitor-{number}", face)
        assert len(gallery) >= 2
    key = KeyFile(tmp_path / "keys.json").add("desk", Role.READ)
    service = ServiceProcess(tmp_path, source=clip, more='[api]\nkeys = "keys.json"\nport = 0', rules="fmr = 1e-3")
    config = tmp_path / "door.toml"
    config.write_text(
        config.read_text().replace("min_face = 40", "min_face = 24").replace("min_face = 60", "min_face = 28")
    )
    running = service.start()
    try:
        with open_browser() as browser, open_page(browser) as page:
            sign_in(page, re.findall(r"console at (http://[^\s\"]+)", "".join(running.lines))[-1], key)
            page.wait_for_selector("#live-faces li")
            assert wait_until(lambda: running.accepts(), 40)
            page.click('[data-tab="events"]')
            page.wait_for_selector("#event-rows td.accept")
            assert "visitor-" in page.inner_text("#event-rows tr:has(td.accept)")
    finally:
        assert running.end() == 0
