"""An API over the shipped engine and a gallery of its own, with keys of each role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk.engine import FaceEngine
from qcface_sdk.gallery import Gallery

pytest.importorskip("fastapi", reason="the REST API needs the extra server")
pytest.importorskip("httpx2", reason="the API's tests need httpx")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from qcface_sdk.api.app import create_app
from qcface_sdk.api.keys import KeyFile, Role
from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.api.state import ApiState


@dataclass(frozen=True)
class Api:
    """A running application, its state, and a client for each role."""

    app: FastAPI
    state: ApiState
    anybody: TestClient
    reader: TestClient
    enroller: TestClient
    admin: TestClient


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def gallery(tmp_path: Path, engine: FaceEngine) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "people.db", engine=engine) as opened:
        yield opened


@pytest.fixture
def make_api(engine: FaceEngine, gallery: Gallery, keys: Path) -> Callable[..., Api]:
    def make(state: ApiState | None = None, **options: object) -> Api:
        file = KeyFile(keys)
        secrets = {role: file.add(role.name.lower(), role) for role in Role}
        state = state or ApiState(engine, gallery)
        app = create_app(state, ApiSettings(keys, **options))

        def client(role: Role | None) -> TestClient:
            headers = {} if role is None else {"Authorization": f"Bearer {secrets[role]}"}
            return TestClient(app, base_url="http://localhost", headers=headers, raise_server_exceptions=False)

        return Api(app, state, client(None), *(client(role) for role in Role))

    return make


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api()


def encoded(image: np.ndarray, suffix: str = ".jpg") -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


@pytest.fixture
def eileen(astronaut: np.ndarray) -> bytes:
    return encoded(astronaut)


@pytest.fixture
def grace(hopper: np.ndarray) -> bytes:
    return encoded(hopper)


@pytest.fixture
def nobody() -> bytes:
    return encoded(np.full((240, 320, 3), 128, np.uint8))
