"""The folder of what this machine has worked out and can work out again: engines and measurements.

``QCFACE_CACHE`` names another folder; else it is the platform's cache folder. Nothing in it is needed: a cache that
cannot be written costs time, never a result.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path

VARIABLE = "QCFACE_CACHE"
"""Environment variable that names the cache folder."""


def user_cache_folder() -> Path:
    """Return the cache folder; it need not exist."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "qcface" / "cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/qcface").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "qcface"


def read_cached(path: Path, limit: int = 1 << 20) -> bytes | None:
    """Return a cached file, or None if it is absent, unreadable or larger than `limit`."""
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    return data if len(data) <= limit else None


def write_cached(path: Path, data: bytes) -> bool:
    """Write a cached file, whole or not at all; return whether that was possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError:
        return False
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        return False
    return True
