"""Counts who passes while the door is open: more people than were accepted is tailgating."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class PassageWatch:
    """Counts people who pass after an accept. Not thread-safe.

    A person passes who goes out of sight near the camera, that is: with a face about as large as it ever was, while the
    door is taken to be open. One who walks away again becomes smaller first.

    Examples
    --------
    >>> watch = PassageWatch(5.0)
    >>> watch.accepted(0.0)
    >>> [watch.gone(time, size=100, largest=104) for time in (1.0, 2.0)]
    [False, True]
    """

    seconds: float
    """How long the door is taken to be open after an accept."""
    _openings: list[float] = field(default_factory=list)
    _passed: int = 0
    _alarmed: int = 0

    def accepted(self, time: float) -> None:
        """Note an accept."""
        self._forget(time)
        self._openings.append(time)

    def gone(self, time: float, size: float, largest: float) -> bool:
        """Note that somebody went out of sight at `time`; return whether that is one more than was accepted."""
        self._forget(time)
        if not self._openings or size < 0.8 * largest:
            return False
        self._passed += 1
        if self._passed > len(self._openings) + self._alarmed:
            self._alarmed += 1
            return True
        return False

    def _forget(self, time: float) -> None:
        if self._openings and time - self._openings[-1] > self.seconds:
            self._openings.clear()
            self._passed = self._alarmed = 0
