"""One form for every answer: accept, retry or reject, why, and what to change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qcface_sdk.quality import QualityReport
from qcface_sdk.results import Face, Identification, Match, Outcome, Reason

_ENROL_AGAIN = "enrol again with a better picture"
_ADVICE = (
    (Reason.NOT_FINITE, "look into the camera once more"),
    (Reason.LOW_QUALITY_A, "come closer, hold still, and look into the camera"),
    (Reason.LOW_QUALITY_B, _ENROL_AGAIN),
    (Reason.GREY_ZONE, "look into the camera once more"),
)
"""What helps, by reason; a report of the picture knows better."""

_ABOUT_THE_PROBE = Reason.LOW_QUALITY_A | Reason.GREY_ZONE | Reason.NOT_FINITE
"""Reasons that a better picture of the probe may remove."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a door does, for a comparison (1:1) or a search (1:N) alike. Opens on nothing but accept."""

    outcome: Outcome
    """Accept, retry or reject."""
    reason: Reason
    """Why it is not a plain accept."""
    subject: str | None
    """Whom a search identified; ``None`` unless accepted, and in a comparison."""
    similarity: float
    """Cosine, -1..1; -1 when there was nothing to compare."""
    threshold: float
    """Smallest similarity that is accepted."""
    fmr: float | None
    """False-match rate of the threshold, where it was given."""
    quality: float | None
    """Quality of the probe, 0..100; ``None`` where there was no face."""
    advice: tuple[str, ...]
    """What to change before the next try, most important first; empty unless the outcome is retry."""

    @property
    def opens(self) -> bool:
        """Whether a door may open."""
        return self.outcome is Outcome.ACCEPT

    @classmethod
    def of(
        cls, result: Match | Identification, probe: Face | None = None, report: QualityReport | None = None
    ) -> Decision:
        """Return the decision of a comparison or a search.

        Parameters
        ----------
        result : Match or Identification
            From `FaceEngine.verify` (the probe is the first face) or `Gallery.identify`.
        probe : Face, optional
            The face searched with, for its quality; a `Match` knows it.
        report : QualityReport, optional
            Of the probe (`FaceEngine.assess`): its advice then comes first.
        """
        if isinstance(result, Match):
            similarity, quality, subject = result.similarity, result.quality_a, None
            missing = (result.quality_a is None, result.quality_b is None)
        else:
            similarity = result.candidates[0].similarity if result.candidates else -1.0
            quality, subject = None if probe is None else probe.quality, result.subject
            missing = (True, False)
        advice = _advice(result.reason, missing, report) if result.decision is Outcome.RETRY else ()
        return cls(result.decision, result.reason, subject, similarity, result.threshold, result.fmr, quality, advice)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "outcome": self.outcome.value,
            "reason": list(self.reason.names()),
            "subject": self.subject,
            "similarity": self.similarity,
            "threshold": self.threshold,
            "fmr": self.fmr,
            "quality": self.quality,
            "advice": list(self.advice),
        }


def _advice(reason: Reason, missing: tuple[bool, bool], report: QualityReport | None) -> tuple[str, ...]:
    """Return what to change; `missing` says of probe and reference which one has no face, where one has none."""
    if Reason.NO_FACE in reason:
        both = ("step in front of the camera and look into it", _ENROL_AGAIN)
        return tuple(text for text, gone in zip(both, missing, strict=True) if gone)
    own = report.advice if report is not None and reason & _ABOUT_THE_PROBE else ()
    # What was seen in the picture replaces the general advice on its quality.
    replaced = Reason.LOW_QUALITY_A if own else Reason.NONE
    general = [text for flag, text in _ADVICE if flag in reason and flag is not replaced]
    return tuple(dict.fromkeys((*own, *general)))
