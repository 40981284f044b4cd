"""One real run of the demo, shared by all tests that look at what came out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qcface_sdk.demo.photographs import COLLINS, HOPPER
from qcface_sdk.demo.report import Report
from qcface_sdk.demo.scene import run_demo
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import BackendUnavailableError
from tiny_models import tiny_bundle

WALK_FRAMES = 5


@pytest.fixture(scope="session")
def photographs() -> None:
    """Skip where the packages that carry the photographs are absent."""
    try:
        COLLINS.locate()
        HOPPER.locate()
    except BackendUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def demo_engine() -> Iterator[FaceEngine]:
    """The default bundle, as `qcface demo` opens it."""
    with FaceEngine(min_face=20) as engine:
        yield engine


@pytest.fixture(scope="session")
def notifications() -> list[int]:
    """Grows by one at every step of the run behind `report`."""
    return []


@pytest.fixture(scope="session")
def report(photographs: None, demo_engine: FaceEngine, notifications: list[int]) -> Report:
    return run_demo(demo_engine, walk_frames=WALK_FRAMES, notify=lambda: notifications.append(1))


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaceEngine]:
    with FaceEngine(tiny_bundle(tmp_path_factory.mktemp("demo") / "bundle")) as engine:
        yield engine
