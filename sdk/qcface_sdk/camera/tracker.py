"""Follows faces from picture to picture, by overlap and motion, and keeps their numbers through short occlusions.

Position alone cannot tell who comes out behind a pillar. A track that was found again by position says so
(`Track.rejoined`), and whoever embeds faces confirms it, splits it (`Tracker.split`), or finds that a new track is a
person seen before (`Tracker.merge`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_positive
from qcface_sdk.results import Face

_BLINK = 0.3
"""Seconds a face may be missing without any doubt: a detector misses single pictures."""

_GAIN = 0.5
"""Weight of a new measurement of velocity against the old one."""

_REACH = 1.0
"""Face widths that a face may be off its prediction, and as many more for each second without being seen."""

_GROWTH = math.log(1.5)
"""Largest change in size against the prediction, as a logarithm, and as much more for each second unseen."""

_HISTORY = 64
"""Sizes kept of each track, for telling whether it comes nearer."""


@dataclass(slots=True, eq=False)
class Track:
    """One person in view. Belongs to its tracker; compare with ``is``."""

    id: int
    """Counted from 1; never used again."""
    face: Face
    """As last seen."""
    first_seen: float
    """Seconds."""
    last_seen: float
    """Seconds."""
    hits: int = 1
    """Pictures it was seen in."""
    rejoined: bool = False
    """Found again by position after a gap; not known yet to be the same person."""
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    """Per second: x and y of the centre in pixels, and the logarithm of the size."""
    sizes: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    """(time, size in pixels), oldest first."""

    @property
    def age(self) -> float:
        """Seconds between the first and the last sight of it."""
        return self.last_seen - self.first_seen

    def approach(self, seconds: float = 1.0) -> float:
        """Return by what factor the face grew over the last `seconds`: above 1 it comes nearer."""
        recent = [size for time, size in self.sizes if time >= self.last_seen - seconds]
        if len(recent) < 2:
            return 1.0
        part = max(1, len(recent) // 3)
        return float(np.median(recent[-part:]) / np.median(recent[:part]))


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """What one picture changed."""

    seen: tuple[Track, ...]
    """Tracks with a face in this picture, in the order of the faces."""
    ended: tuple[Track, ...]
    """Tracks given up in this picture."""


class Tracker:
    """Gives each face of a stream the number of its person. Not thread-safe.

    Parameters
    ----------
    max_gap : float, default 1.5
        Seconds a person may be hidden and keep the number.

    Examples
    --------
    >>> tracker = Tracker()
    >>> def face(x):
    ...     return Face(np.array([x, 50, x + 40, 100]), np.zeros((5, 2)), 0.9)
    >>> [tracker.update([face(100 + 5 * i)], i / 10).seen[0].id for i in range(4)]
    [1, 1, 1, 1]
    """

    def __init__(self, max_gap: float = 1.5) -> None:
        self._max_gap = check_positive("max_gap", max_gap)
        self._tracks: list[Track] = []
        self._next = 1

    @property
    def tracks(self) -> tuple[Track, ...]:
        """All tracks that are seen or may come back."""
        return tuple(self._tracks)

    def update(self, faces: Sequence[Face], time: float) -> TrackUpdate:
        """Take the faces of the next picture.

        Parameters
        ----------
        faces : sequence of Face
            As `FaceEngine.detect` gives them.
        time : float
            Seconds, not before the last picture's.
        """
        ended = tuple(track for track in self._tracks if time - track.last_seen > self._max_gap)
        self._tracks = [track for track in self._tracks if time - track.last_seen <= self._max_gap]
        # Those seen a moment ago choose first: someone who has been hidden must not take their faces.
        fresh = [track for track in self._tracks if time - track.last_seen <= _BLINK]
        hidden = [track for track in self._tracks if time - track.last_seen > _BLINK]
        owners: dict[int, Track] = {}
        for group in (fresh, hidden):
            free = [index for index in range(len(faces)) if index not in owners]
            for index, track in _assign(group, [faces[i] for i in free], time):
                owners[free[index]] = track
        for index, face in enumerate(faces):
            if index in owners:
                _move(owners[index], face, time)
            else:
                owners[index] = self._begin(face, time)
        return TrackUpdate(tuple(owners[index] for index in range(len(faces))), ended)

    def _begin(self, face: Face, time: float) -> Track:
        track = Track(self._next, face, time, time)
        track.sizes.append((time, face.size))
        self._next += 1
        self._tracks.append(track)
        return track

    def split(self, track: Track) -> Track:
        """Say that another person has taken the place of `track`; return the new track in its place."""
        self._tracks.remove(track)
        return self._begin(track.face, track.last_seen)

    def merge(self, new: Track, old: Track) -> Track:
        """Say that `new` is the person of `old`, who was out of sight before; return the one track left."""
        self._tracks = [track for track in self._tracks if track is not new and track is not old]
        new.id, new.first_seen, new.hits, new.rejoined = old.id, old.first_seen, old.hits + new.hits, False
        self._tracks.append(new)
        return new


def _middle(face: Face) -> NDArray[np.float64]:
    """Return x, y of the centre and the logarithm of the size."""
    x1, y1, x2, y2 = (float(value) for value in face.bbox)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, math.log(max(1.0, face.size))])


def _move(track: Track, face: Face, time: float) -> None:
    gap = time - track.last_seen
    if gap > 0:
        measured = (_middle(face) - _middle(track.face)) / gap
        # After a gap the average over it says little about the motion now.
        gain = _GAIN if gap <= _BLINK else _GAIN / 2
        track.velocity = measured if track.hits == 1 else (1 - gain) * track.velocity + gain * measured
    track.rejoined = track.rejoined or gap > _BLINK
    track.face, track.last_seen, track.hits = face, time, track.hits + 1
    track.sizes.append((time, face.size))


def _assign(tracks: list[Track], faces: list[Face], time: float) -> list[tuple[int, Track]]:
    """Pair faces with tracks, nearest pair first."""
    pairs = []
    for track in tracks:
        gap = time - track.last_seen
        # Nobody keeps walking straight on for long where nobody sees it.
        ahead = min(gap, 0.5)
        expected = _middle(track.face) + track.velocity * np.array([ahead, ahead, min(gap, _BLINK)])
        for index, face in enumerate(faces):
            off = _middle(face) - expected
            size = math.exp(max(expected[2], float(_middle(face)[2])))
            distance = float(np.hypot(off[0], off[1])) / size
            if distance <= _REACH * (1 + gap) and abs(off[2]) <= _GROWTH * (1 + gap):
                pairs.append((distance + abs(float(off[2])), track.id, index, track))
    found: list[tuple[int, Track]] = []
    taken_faces: set[int] = set()
    taken_tracks: set[int] = set()
    for _, number, index, track in sorted(pairs, key=lambda pair: pair[:3]):
        if index not in taken_faces and number not in taken_tracks:
            found.append((index, track))
            taken_faces.add(index)
            taken_tracks.add(number)
    return found
