"""Token buckets: how many requests one key or one address may make."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_BUCKETS = 10_000
"""Names remembered; the one unused for longest is forgotten first, so that an attacker cannot fill the memory."""


class RateLimit:
    """Allows `per_minute` events a minute for each name, in bursts of at most a quarter of it. Thread-safe.

    Parameters
    ----------
    per_minute : float
        Long-term rate, above 0.
    clock : callable
        Seconds that never go back.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / 60
        self._burst = max(1.0, per_minute / 4)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one token of `name`; return 0, or the seconds to wait if there is none."""
        now = self._clock()
        with self._lock:
            tokens, then = self._buckets.pop(name, (self._burst, now))
            tokens = min(self._burst, tokens + (now - then) * self._per_second)
            wait = 0.0
            if tokens >= 1:
                tokens -= 1
            else:
                wait = (1 - tokens) / self._per_second
            self._buckets[name] = (tokens, now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        return wait
