"""How many faces a second may be embedded."""

from __future__ import annotations


class Budget:
    """A bucket of tokens that fills at `per_second` and holds a third of a second's worth, at least one.

    Not thread-safe.

    Examples
    --------
    >>> budget = Budget(2.0)
    >>> [budget.take(time) for time in (0.0, 0.1, 0.6)]
    [True, False, True]
    """

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._most = max(1.0, per_second / 3)
        self._tokens = self._most
        self._time: float | None = None

    def take(self, time: float) -> bool:
        """Return whether one more may be spent at `time`, and spend it."""
        if self._time is not None:
            self._tokens = min(self._most, self._tokens + self._rate * max(0.0, time - self._time))
        self._time = time
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
