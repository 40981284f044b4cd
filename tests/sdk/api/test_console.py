"""The console in a real browser: enrol from a file, see a decision, delete with a receipt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from browser import open_browser, open_page, sign_in
from qcface_sdk.engine import FaceEngine
from qcface_sdk.gallery import Gallery


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with open_browser() as opened:
        yield opened


class Walk:
    """A door whose newest frame shows one person, identified by the real engine and gallery."""

    def __init__(self, engine: FaceEngine, gallery: Gallery, image: np.ndarray) -> None:
        self._engine, self._gallery, self._image = engine, gallery, image
        self._lock = threading.Lock()

    def live(self) -> Any:
        from qcface_sdk.api.state import LiveFace, LiveFrame

        with self._lock:
            face = self._engine.get(self._image)[0]
            result = self._gallery.identify(face, threshold=self._engine.threshold(1e-3))
        box = tuple(float(value) for value in face.bbox)
        shown = LiveFace(box, 1, face.quality, result.subject or "", result.decision.value)
        return LiveFrame(self._image, (shown,), "collecting", 0.01)


@pytest.fixture
def site(engine: FaceEngine, gallery: Gallery, keys: Path, astronaut: np.ndarray) -> Iterator[dict[str, str]]:
    from qcface_sdk.api.keys import KeyFile, Role
    from qcface_sdk.api.server import ApiServer
    from qcface_sdk.api.settings import ApiSettings
    from qcface_sdk.api.state import ApiState

    secrets = {role.name.lower(): KeyFile(keys).add(role.name.lower(), role) for role in (Role.READ, Role.ADMIN)}
    state = ApiState(engine, gallery, doors={"front": Walk(engine, gallery, astronaut)})
    server = ApiServer(state, ApiSettings(keys, port=0))
    server.start()
    yield {"url": server.url, **secrets}
    server.stop()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    with open_page(browser) as opened:
        yield opened


def test_enrol_see_the_decision_and_delete(
    page: Any, site: dict[str, str], astronaut_path: Path, tmp_path: Path
) -> None:
    sign_in(page, site["url"], site["admin"])
    page.wait_for_selector("#live-faces li.reject")

    page.click('[data-tab="enroll"]')
    page.fill("#subject", "eileen <b>")
    page.set_input_files("#pictures", str(astronaut_path))
    page.wait_for_selector("#previews li.accept meter")
    page.click("#enroll-button")
    page.wait_for_selector("#message.good")
    assert "eileen <b>" in page.inner_text("#message")

    page.click('[data-tab="live"]')
    page.wait_for_selector("#live-faces li.accept")
    assert page.inner_text("#live-faces li b") == "eileen <b>"
    assert page.inner_text("#door-state") == "collecting"
    painted = page.evaluate("document.querySelector('#view').getContext('2d').getImageData(20, 20, 1, 1).data[3]")
    assert painted == 255

    page.click('[data-tab="people"]')
    page.wait_for_selector("#people-rows tr")
    assert page.inner_text("#people-rows td") == "eileen <b>"
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#people-rows button.danger")
    page.wait_for_selector("#receipt", state="visible")
    assert "eileen <b>" in page.inner_text("#receipt")
    assert page.inner_text("#people-count") == "0 enrolled"


def test_poor_picture_is_refused_with_a_reason(page: Any, site: dict[str, str], tmp_path: Path) -> None:
    empty = tmp_path / "wall.png"
    cv2.imwrite(str(empty), np.full((200, 200, 3), 90, np.uint8))
    sign_in(page, site["url"], site["admin"])
    page.click('[data-tab="enroll"]')
    page.fill("#subject", "nobody")
    page.set_input_files("#pictures", str(empty))
    page.wait_for_selector("#previews li.reject")
    assert "no face" in page.inner_text("#previews li.reject")
    page.click("#enroll-button")
    page.wait_for_selector("#message.bad")
    assert "no face" in page.inner_text("#message")


def test_thresholds_can_be_explored(page: Any, site: dict[str, str]) -> None:
    sign_in(page, site["url"], site["read"])
    page.click('[data-tab="thresholds"]')
    page.wait_for_selector("#threshold-rows tr")
    before = float(page.inner_text("#fmr-threshold"))
    page.focus("#fmr")
    page.keyboard.press("End")
    page.wait_for_selector(f"#fmr-threshold:not(:text-is('{before:.3f}'))")
    assert float(page.inner_text("#fmr-threshold")) < before


def test_reader_sees_no_way_to_enrol_or_remove(page: Any, site: dict[str, str]) -> None:
    sign_in(page, site["url"], site["read"])
    assert page.is_hidden('[data-tab="enroll"]')
    page.click('[data-tab="events"]')
    page.wait_for_selector("#events", state="visible")


def test_wrong_key_stays_outside(page: Any, site: dict[str, str]) -> None:
    page.goto(site["url"])
    page.fill("#key", "qcf_wrong")
    page.click("#sign-in-form button")
    page.wait_for_selector("#message.bad")
    assert page.is_hidden("#tabs")
