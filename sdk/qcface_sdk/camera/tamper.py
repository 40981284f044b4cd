"""Notices a camera that shows nothing: covered, blinded, or frozen."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

_STEP = 24
"""Every so many pixels one is looked at: 3,600 of a 1080p picture."""


class Sight(str, Enum):
    """What a camera shows."""

    CLEAR = "clear"
    """Something."""
    BLACK = "black"
    """Darkness without structure: covered, or no infrared light."""
    BLINDED = "blinded"
    """One bright tone: a lamp or laser in the lens, or spray paint."""
    FROZEN = "frozen"
    """Exactly the same picture again and again: a stuck encoder, or a still fed in."""


class TamperWatch:
    """Judges pictures by their sequence. Not thread-safe.

    Parameters
    ----------
    blind_seconds : float
        How long a picture without structure is borne: a hand before the lens is no alarm.
    frozen_seconds : float
        How long exact repetition is borne. Sensor noise changes every real picture, but encoders at a low bit rate
        repeat still scenes up to the next key frame; set it above the camera's key-frame interval.

    Examples
    --------
    >>> watch = TamperWatch(blind_seconds=1.0)
    >>> dark = np.zeros((240, 320, 3), np.uint8)
    >>> [watch.update(dark, second).value for second in (0.0, 0.5, 1.5)]
    ['clear', 'clear', 'black']
    """

    def __init__(self, blind_seconds: float = 3.0, frozen_seconds: float = 10.0) -> None:
        self._blind_seconds, self._frozen_seconds = blind_seconds, frozen_seconds
        self._last: NDArray[np.uint8] | None = None
        self._changed = 0.0
        self._blind: tuple[Sight, float] | None = None

    def update(self, image: NDArray[np.uint8], time: float) -> Sight:
        """Take the next picture, of `time` seconds; return what the camera shows."""
        sample = np.ascontiguousarray(image[_STEP // 2 :: _STEP, _STEP // 2 :: _STEP])
        same = self._last is not None and self._last.shape == sample.shape and bool((self._last == sample).all())
        if not same:
            self._last, self._changed = sample, time
        kind = _blindness(sample)
        if kind is None:
            self._blind = None
        elif self._blind is None or self._blind[0] is not kind:
            self._blind = (kind, time)
        if self._blind is not None and time - self._blind[1] >= self._blind_seconds:
            return self._blind[0]
        return Sight.FROZEN if time - self._changed >= self._frozen_seconds else Sight.CLEAR

    def reset(self) -> None:
        """Begin anew, as after a reconnect."""
        self._last, self._blind = None, None


def _blindness(sample: NDArray[np.uint8]) -> Sight | None:
    """Return how a picture is without structure, ``None`` where it has some."""
    if sample.size == 0 or float(sample.std()) > 6.0:
        return None
    mean = float(sample.mean())
    if mean < 24.0:
        return Sight.BLACK
    return Sight.BLINDED if mean > 200.0 else None
