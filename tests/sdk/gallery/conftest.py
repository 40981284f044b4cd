"""People made of random numbers, and galleries of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qcface_sdk.gallery import Gallery
from qcface_sdk.results import Face
from qcface_sdk.template import Template

CONTRACT = "qc1-0123456789abcdef0123456789abcdef"
DIMENSION = 64

# What a child process needs to make the same people as `person`.
PEOPLE = f"""
import numpy as np
from qcface_sdk.gallery import Gallery
from qcface_sdk.template import Template

def person(seed):
    embedding = np.random.default_rng(seed).normal(size=(1, {DIMENSION}))
    return Template.from_embeddings(embedding, "{CONTRACT}", created=1.0)
"""


def template_of(seed: int, contract: str = CONTRACT, dimension: int = DIMENSION) -> Template:
    return Template.from_embeddings(np.random.default_rng(seed).normal(size=(1, dimension)), contract, created=1.0)


def face_of(embedding: object, contract: str | None = CONTRACT, quality: float | None = 50.0) -> Face:
    array = None if embedding is None else np.asarray(embedding, np.float32)
    return Face(np.zeros(4), np.zeros((5, 2)), 0.9, array, contract, 0.5, quality)


@pytest.fixture
def person() -> Callable[..., Template]:
    """Template of the person with this number; everybody is nearly orthogonal to everybody else."""
    return template_of


@pytest.fixture
def face() -> Callable[..., Face]:
    """Face with this embedding."""
    return face_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.qcgallery"


@pytest.fixture(scope="session")
def ten_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Closed gallery of ten people, to be copied: enrolling waits for the disk."""
    path = tmp_path_factory.mktemp("ten") / "people"
    with Gallery.open(path) as opened:
        for number in range(10):
            opened.enroll(f"p{number}", template_of(number))
    return path


@pytest.fixture
def gallery(path: Path, ten_people: Path) -> Iterator[Gallery]:
    """Ten people, ``p0`` to ``p9``."""
    for ending in ("", ".keyring", ".key"):
        shutil.copy(f"{ten_people}{ending}", f"{path}{ending}")
    with Gallery.open(path) as opened:
        yield opened


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python on some code that may use `person` and `Gallery`; killed at the end if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", PEOPLE + code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
