"""Write a file so that its place holds at any moment either the old whole file or the new whole file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` beside `path`, flush it to the disk, then rename it.

    Raises
    ------
    OSError
        If it cannot be written; what was at `path` before is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".building", dir=path.parent)
    building = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        building.chmod(0o644)
        building.replace(path)
    finally:
        building.unlink(missing_ok=True)
