"""The time within a recording, which never falls, whatever its time stamps do."""

from __future__ import annotations

_USUAL_STEP = 1 / 25
"""Seconds between pictures where the recording does not say."""

_LONGEST_STEP = 5.0
"""Seconds; a longer gap between two stamps is a mistake in them."""


class RecordingClock:
    """Seconds since the first picture, over missing stamps, jumps and repetitions. Not thread-safe.

    Examples
    --------
    >>> clock = RecordingClock()
    >>> [round(clock.seconds(stamp), 2) for stamp in (7.0, 7.5, None, 0.0, 0.5)]
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """

    def __init__(self) -> None:
        self._seconds: float | None = None
        self._stamp: float | None = None
        self._step = _USUAL_STEP
        self._began: float | None = None

    def seconds(self, stamp: float | None) -> float:
        """Return the time of the next picture, given its time stamp."""
        if self._seconds is None:
            self._seconds = 0.0
        else:
            step = None if stamp is None or self._stamp is None else stamp - self._stamp
            if step is not None and 0 < step <= _LONGEST_STEP:
                self._step = step
            self._seconds += self._step
        self._stamp = stamp
        return self._seconds

    def wait(self, seconds: float, now: float) -> float:
        """Return how long to wait until a picture of that time is due, when the first was shown in time."""
        if self._began is None:
            self._began = now - seconds
        return self._began + seconds - now
