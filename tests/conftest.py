"""Fixtures shared by all tests: seeded numbers, public-domain portraits, drawn pictures, the data folder."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

from qcface_sdk.engine import FaceEngine
from qcface_sdk.image import read_image

REPOSITORY = Path(__file__).resolve().parents[1]

settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Measurements and engines of the machine's user are neither read nor written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QCFACE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20251017)


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Research data for development; not part of the project and never needed by an ordinary run."""
    folder = Path(os.environ.get("QCFACE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"research data not present at {folder}; set QCFACE_DATA")
    return folder


def _portrait_in_package(package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed; it carries the public-domain portrait {inside}")
    return Path(spec.origin).parent / inside


@pytest.fixture(scope="session")
def astronaut_path() -> Path:
    """Eileen Collins, NASA, public domain."""
    return _portrait_in_package("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def hopper_path() -> Path:
    """Grace Hopper, US Navy, public domain."""
    return _portrait_in_package("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def astronaut(astronaut_path: Path) -> np.ndarray:
    return read_image(astronaut_path)


@pytest.fixture(scope="session")
def hopper(hopper_path: Path) -> np.ndarray:
    return read_image(hopper_path)


@pytest.fixture(scope="session")
def engine() -> Iterator[FaceEngine]:
    """The default bundle on the default backend."""
    with FaceEngine() as shared:
        yield shared


@pytest.fixture
def noise_image(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise, so that interpolation has something to do."""
    coarse = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return cv2.resize(coarse, (480, 320), interpolation=cv2.INTER_CUBIC)
