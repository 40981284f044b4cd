from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from broker import Broker
from qcface_sdk import FaceEngine
from service_process import ServiceProcess, enrol, write_film


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, engine: FaceEngine) -> Path:
    """A film of somebody, and a gallery that knows her."""
    folder = tmp_path_factory.mktemp("scene")
    write_film(folder / "film.avi", astronaut)
    enrol(folder / "people.db", engine, "eileen", astronaut)
    return folder


@pytest.fixture
def service(scene: Path, tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Makes services in this test's folder; what still runs at the end is killed."""
    made: list[ServiceProcess] = []
    for file in scene.iterdir():
        if not file.name.endswith(("-wal", "-shm")):
            (tmp_path / file.name).write_bytes(file.read_bytes())
            (tmp_path / file.name).chmod(0o600)  # a key file that others can read is refused

    def make(**parts: object) -> ServiceProcess:
        made.append(ServiceProcess(tmp_path, **parts))
        return made[-1]

    yield make
    for one in made:
        if one.running:
            one.end(9)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path).start()
    yield running
    running.stop()
