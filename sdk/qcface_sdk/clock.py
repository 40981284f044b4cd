"""The clock that intervals are measured with: it never jumps, and goes on while the machine sleeps."""

from __future__ import annotations

import time


def steady_seconds() -> float:
    """Return seconds since some fixed moment of this boot.

    `time.monotonic` stands still while Linux is suspended, so an open command could outlive a night's sleep; the boot
    clock counts on. Setting the wall clock moves neither.

    Examples
    --------
    >>> earlier = steady_seconds()
    >>> steady_seconds() >= earlier
    True
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
