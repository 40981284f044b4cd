"""What the demo found: one `Shot` per picture, one `Curve` per kind of damage, and the verdict on both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qcface_sdk.demo.photographs import Image
from qcface_sdk.results import Face, Identification, Outcome

CHANGES, STRANGER, WALK, STRANGER_WALK = "changes", "stranger", "walk", "stranger walk"
"""Groups of shots, in the order of the report."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture and what was decided about it."""

    group: str
    """`CHANGES`, `STRANGER`, `WALK` or `STRANGER_WALK`."""

    name: str
    """What the picture is."""

    enrolled: bool
    """Whether the person shown is the one who was enrolled."""

    image: Image
    """BGR uint8 (H, W, 3)."""

    face: Face | None
    """The largest face, if one was found."""

    result: Identification
    """Outcome of the search of the gallery."""

    distance_m: float | None = None
    """Distance from the camera, in a walk."""

    @property
    def similarity(self) -> float | None:
        """Cosine to the enrolled person, ``None`` without a face."""
        return self.result.candidates[0].similarity if self.result.candidates else None

    @property
    def quality(self) -> float | None:
        """Quality of the face, 0..100."""
        return None if self.face is None else self.face.quality

    @property
    def outcome(self) -> Outcome:
        """Accept, retry or reject."""
        return self.result.decision

    @property
    def wrong(self) -> bool:
        """Whether a stranger was accepted; not to recognise a poor picture is no mistake."""
        return not self.enrolled and self.outcome is Outcome.ACCEPT

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "group": self.group,
            "name": self.name,
            "enrolled": self.enrolled,
            "distance_m": self.distance_m,
            "decision": self.outcome.value,
            "reason": list(self.result.reason.names()),
            "similarity": self.similarity,
            "quality": self.quality,
            "magnitude": None if self.face is None else self.face.magnitude,
            "face_px": None if self.face is None else round(self.face.size, 1),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How one kind of damage to the aligned face lowers quality and similarity, level by level."""

    kind: str
    """Kind of damage, see `qcface_sdk.evaluation.LADDER`."""

    qualities: tuple[float, ...]
    """0..100 at each level, the clean face first."""

    similarities: tuple[float, ...]
    """Cosine to the clean face at each level."""

    crops: tuple[Image, ...]
    """Aligned face at each level."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {"kind": self.kind, "qualities": list(self.qualities), "similarities": list(self.similarities)}


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Everything that the demo shows."""

    shots: tuple[Shot, ...]
    """In the order of the groups."""

    curves: tuple[Curve, ...]
    """One per kind of damage."""

    fmr: float
    """False-match rate asked for."""

    threshold: float
    """Similarity from which a face is accepted."""

    retry_below: float
    """Quality gate."""

    engine: dict[str, str]
    """Model, contract, backend, precision."""

    person: str
    """Name of the enrolled person."""

    stranger: str
    """Name of the stranger."""

    credits: tuple[str, ...]
    """Origin of the photographs."""

    def group(self, *names: str) -> tuple[Shot, ...]:
        """Return the shots of these groups."""
        return tuple(shot for shot in self.shots if shot.group in names)

    @property
    def problems(self) -> tuple[str, ...]:
        """What must not happen: the enrolled photograph not recognised, or a stranger accepted."""
        found = [f"{self.stranger} was accepted: {shot.name}" for shot in self.shots if shot.wrong]
        clean = self.group(CHANGES)[0]
        if clean.outcome is not Outcome.ACCEPT:
            found.append(f"{self.person} was not recognised in the photograph she was enrolled with")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "ok": not self.problems,
            "problems": list(self.problems),
            "fmr": self.fmr,
            "threshold": self.threshold,
            "retry_below": self.retry_below,
            "engine": self.engine,
            "enrolled": self.person,
            "stranger": self.stranger,
            "shots": [shot.to_dict() for shot in self.shots],
            "curves": [curve.to_dict() for curve in self.curves],
            "photographs": list(self.credits),
        }
