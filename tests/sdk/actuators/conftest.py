from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path).start()
    yield running
    running.stop()
