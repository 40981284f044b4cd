"""How long to wait before trying again: longer each time, and never all at the same moment."""

from __future__ import annotations

import random


class Backoff:
    """Waiting times that double from `first` to `most`, each shortened by a random share. Not thread-safe.

    The random share (a half to the whole) keeps many cameras from hitting a server that comes back all at once.

    Examples
    --------
    >>> waits = Backoff(first=1, most=4)
    >>> [waits.next() <= limit for limit in (1, 2, 4, 4)]
    [True, True, True, True]
    """

    def __init__(self, first: float = 0.5, most: float = 30.0) -> None:
        self._first = first
        self._most = most
        self._limit = first

    def next(self) -> float:
        """Return the seconds to wait now."""
        wait = self._limit * random.uniform(0.5, 1.0)
        self._limit = min(self._most, 2 * self._limit)
        return wait

    def reset(self) -> None:
        """Begin with the shortest wait again, after something went well."""
        self._limit = self._first
