"""What a door asks of a person before it decides, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qcface_sdk.checks import check_choice, check_fraction, check_positive, check_positive_int, check_threshold
from qcface_sdk.errors import OptionError
from qcface_sdk.results import Face

Point = tuple[float, float]

FOCUS = ("everyone", "largest", "nearest")


@dataclass(frozen=True, slots=True)
class DoorRules:
    """What a door asks. Immutable; checked when made.

    Raises
    ------
    OptionError
        If a value is out of range, or more than one of `fpir`, `fmr` and `threshold` is given.
    """

    min_face: float = 60.0
    """Shorter side in pixels of the smallest face that is decided on. The engine must find smaller ones
    (``FaceEngine(min_face=...)``), or nobody is told to come closer."""
    fpir: float | None = None
    """1:N, share of strangers that one search may accept; needs ``Gallery.open(..., engine=engine)``."""
    fmr: float | None = None
    """False-match rate of one comparison. The default, 1e-4, holds where none of the three is given."""
    threshold: float | None = None
    """Smallest similarity that is accepted, instead of a rate."""
    zone: tuple[Point, ...] = ()
    """Corners, in shares of width and height (0..1), of the area in which people are decided on; empty is all."""
    approaching: bool = False
    """Only people who come nearer, or did before they stopped."""
    focus: str = "everyone"
    """``"everyone"`` each on their own, or only the ``"largest"`` face, or the one ``"nearest"`` to `focus_point`."""
    focus_point: Point = (0.5, 1.0)
    """In shares of width and height."""
    credential: str = "none"
    """``"none"``: search (1:N). ``"optional"``: compare with the credential's owner while one is presented, else
    search. ``"required"``: never search."""
    credential_seconds: float = 10.0
    """How long a presented credential waits for its face."""
    seen_pictures: int = 3
    """Pictures in which a person must be seen before anything is said of them."""
    embeddings_per_second: float = 10.0
    """Of all people together."""
    between_embeddings: float = 0.08
    """Seconds between two pictures of one person: neighbours say the same thing twice."""
    min_pictures: int = 2
    """Fewest pictures of one person for an accept."""
    confirmations: int = 2
    """Searches in a row that must name the same person."""
    max_pictures: int = 8
    """Pictures after which somebody not recognised is rejected, or told to try again."""
    enough_fnmr: float = 0.05
    """Expected false non-match rate, at FMR 1e-4, of the fused pictures at which no more are needed for a reject."""
    patience: float = 2.0
    """Seconds of looking for a usable picture after which the person is told what is wrong."""
    cooldown: float = 5.0
    """Seconds in which one person is not accepted again, and a rejected one not judged again."""
    attempts: int = 3
    """Tries of one track, ended by a reject or in the grey zone, after which it is rejected for good."""
    liveness_pictures: int = 2
    """Fewest pictures that the liveness check must have judged."""
    max_gap: float = 1.5
    """Seconds a person may be hidden and keep the track."""
    max_age: float = 1.0
    """Seconds: an older picture never leads to an accept."""
    stage_timeout: float = 1.0
    """Seconds that one stage may take; more is a fault, and what it found is thrown away."""
    pass_seconds: float = 5.0
    """After an accept: how long the door is taken to be open, for counting who passes."""
    frozen_seconds: float = 10.0
    """Exact repetition of the picture that is taken for a frozen camera; above the camera's key-frame interval."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        positive = ("min_face", "embeddings_per_second", "between_embeddings", "patience", "cooldown", "max_gap")
        for name in (*positive, "max_age", "stage_timeout", "pass_seconds", "frozen_seconds", "credential_seconds"):
            check_positive(name, getattr(self, name))
        for name in ("seen_pictures", "min_pictures", "confirmations", "max_pictures", "attempts", "liveness_pictures"):
            check_positive_int(name, getattr(self, name))
        check_fraction("enough_fnmr", self.enough_fnmr)
        check_choice("focus", self.focus, FOCUS)
        check_choice("credential", self.credential, ("none", "optional", "required"))
        if self.max_pictures < max(self.min_pictures, self.confirmations):
            raise OptionError("max_pictures must be at least min_pictures and confirmations, or nobody is accepted")
        for name in ("fpir", "fmr"):
            if getattr(self, name) is not None:
                check_fraction(name, getattr(self, name))
        if self.threshold is not None:
            check_threshold("threshold", self.threshold)
        given = [name for name in ("fpir", "fmr", "threshold") if getattr(self, name) is not None]
        if len(given) > 1:
            raise OptionError(f"give one of fpir, fmr and threshold, got {' and '.join(given)}")
        _check_points("focus_point", (self.focus_point,))
        _check_points("zone", self.zone)
        if 0 < len(self.zone) < 3:
            raise OptionError(f"zone must have at least 3 corners, got {len(self.zone)}")

    def inside_zone(self, face: Face, size_wh: tuple[int, int]) -> bool:
        """Return whether the middle of a face lies in the zone, for a picture of that size."""
        if not self.zone:
            return True
        x, y = _middle(face, size_wh)
        inside = False
        # Even-odd rule: count the edges that a ray to the right crosses.
        for (ax, ay), (bx, by) in zip(self.zone, (*self.zone[1:], self.zone[0]), strict=True):
            if (ay > y) != (by > y) and x < ax + (y - ay) * (bx - ax) / (by - ay):
                inside = not inside
        return inside

    def in_focus(self, faces: Sequence[Face], size_wh: tuple[int, int]) -> tuple[Face, ...]:
        """Return whom the focus falls on among the faces in the zone."""
        if self.focus == "everyone" or len(faces) < 2:
            return tuple(faces)
        if self.focus == "largest":
            return (max(faces, key=lambda face: face.size),)
        px, py = self.focus_point
        aspect = size_wh[1] / size_wh[0]

        def distance(face: Face) -> float:
            x, y = _middle(face, size_wh)
            return math.hypot(x - px, (y - py) * aspect)

        return (min(faces, key=distance),)


def _middle(face: Face, size_wh: tuple[int, int]) -> Point:
    x1, y1, x2, y2 = (float(value) for value in face.bbox)
    return (x1 + x2) / 2 / size_wh[0], (y1 + y2) / 2 / size_wh[1]


def _check_points(name: str, points: Sequence[Point]) -> None:
    for point in points:
        try:
            good = len(point) == 2 and all(math.isfinite(value) and 0 <= value <= 1 for value in point)
        except TypeError:
            good = False
        if not good:
            raise OptionError(f"{name} must be (x, y) in shares of the picture, each in 0..1, got {point!r}")
