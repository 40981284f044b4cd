"""Notices when decoding falls behind a camera, by comparing its time stamps with our clock."""

from __future__ import annotations

_FORWARD, _BACK = 5.0, 1.0
"""Seconds between two pictures' stamps beyond which the camera's clock was set, or the stream began again. Packets of
pictures that are shown in another order go back as well, but by fractions of a second."""

_DRIFT = 1e-3
"""Largest drift between a camera's clock and ours, seconds a second; real crystals stay a tenth of that apart."""


class LagWatch:
    """How far the newest picture is behind the best it has ever been. Not thread-safe.

    Parameters
    ----------
    limit : float
        Seconds of lag that are borne.

    Examples
    --------
    >>> watch = LagWatch(1.0)
    >>> [watch.behind(stamp, now) for stamp, now in ((0.0, 100.0), (0.1, 100.1), (0.2, 101.5))]
    [False, False, True]
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._base: float | None = None
        self._stamp = self._now = 0.0

    def behind(self, stamp: float, now: float) -> bool:
        """Take the time stamp of a picture that is about to be decoded at `now`; return whether it is too late."""
        offset = now - stamp
        if self._base is None or not -_BACK < stamp - self._stamp < _FORWARD:
            self._base = offset
        else:
            # Our baseline creeps up, or a slow camera clock would look like lag after some hours.
            self._base = min(self._base + _DRIFT * max(0.0, now - self._now), offset)
        self._stamp, self._now = stamp, now
        return offset - self._base > self._limit
