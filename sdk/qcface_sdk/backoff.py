"""How long to wait before trying again: longer each time, and never all at the same moment."""

from __future__ import annotations

import random


class Backoff:
    """Delays that double from `first` to `longest` seconds, each shortened at random by up to half.

    The jitter keeps many from connecting in step to what has just come back. Not thread-safe.

    Examples
    --------
    >>> backoff = Backoff(0.5, 4.0, random.Random(1))
    >>> [0.5 <= 2 * backoff.next() / ceiling <= 2 for ceiling in (0.5, 1.0, 2.0, 4.0, 4.0)]
    [True, True, True, True, True]
    """

    def __init__(self, first: float = 0.5, longest: float = 30.0, rng: random.Random | None = None) -> None:
        self._first, self._longest = first, longest
        self._rng = rng or random.Random()
        self._failures = 0

    @property
    def failures(self) -> int:
        """Delays given since the last `reset`."""
        return self._failures

    def next(self) -> float:
        """Return the seconds to wait now."""
        # Beyond 2 ** 32 the delay is the longest anyway, and floats must not overflow after a year of failures.
        ceiling = min(self._longest, self._first * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return ceiling * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with the first delay again, as the connection worked."""
        self._failures = 0
