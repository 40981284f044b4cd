"""What the SDK returns: frozen dataclasses whose arrays are read-only.

Boxes and points are in pixels of the picture they were found in; whole numbers are pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.readings import Reading


class Outcome(str, Enum):
    """What a comparison means for a door."""

    ACCEPT = "accept"
    """Similar enough, at the false-match rate asked for."""

    RETRY = "retry"
    """No answer can be trusted: take another picture."""

    REJECT = "reject"
    """Not similar enough."""


class Reason(Flag):
    """Why an outcome is not a plain accept; several may hold at once."""

    NONE = 0
    BELOW_THRESHOLD = auto()
    """The similarity is below the threshold."""
    LOW_QUALITY_A = auto()
    """The first face (or the probe) is below the quality gate."""
    LOW_QUALITY_B = auto()
    """The second face (or the reference) is below the quality gate."""
    GREY_ZONE = auto()
    """So close to the threshold that another picture would decide."""
    NO_FACE = auto()
    """There is no face to compare."""
    NOT_FINITE = auto()
    """An embedding is NaN, infinite or of zero length."""
    EMPTY_GALLERY = auto()
    """Nobody is enrolled."""

    def names(self) -> tuple[str, ...]:
        """Return the lower-case names of the flags set, in the order of their definition."""
        return tuple(str(flag.name).lower() for flag in Reason.__members__.values() if flag.value and flag in self)


def _frozen(array: NDArray[np.float32]) -> NDArray[np.float32]:
    copy = np.array(array, dtype=np.float32)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in one picture. Immutable; compare with ``is``.

    A face from `FaceEngine.detect` has box, points and score only; the rest is ``None``.
    """

    bbox: NDArray[np.float32]
    """Shape (4,), float32: x1, y1, x2, y2 in pixels. May reach outside the picture."""

    kps: NDArray[np.float32]
    """Shape (5, 2), float32: left eye, right eye, nose, left and right mouth corner *as seen in the picture*."""

    det_score: float
    """Detector score in 0..1."""

    embedding: NDArray[np.float32] | None = None
    """Shape (D,), float32, **not** normalised: its direction is the identity, its length the magnitude."""

    contract: str | None = None
    """Embedding contract id: only embeddings with the same id may be compared."""

    recognizability: float | None = None
    """In [0, 1]: the closed-form inverse of the QCFace norm optimum at this magnitude."""

    quality: float | None = None
    """0..100, higher is better; monotone in the magnitude, see the bundle's quality origin."""

    quality_reasons: tuple[Reading, ...] | None = None
    """One reading for each measure of the picture, with its status, where they were asked for
    (``engine.get(image, reasons=True)``). They explain; `quality` decides."""

    def __post_init__(self) -> None:
        """Take read-only copies of the arrays."""
        object.__setattr__(self, "bbox", _frozen(self.bbox))
        object.__setattr__(self, "kps", _frozen(self.kps))
        if self.embedding is not None:
            object.__setattr__(self, "embedding", _frozen(self.embedding))

    @property
    def magnitude(self) -> float | None:
        """Length of the raw embedding: how recognizable the face is to this model."""
        return None if self.embedding is None else float(np.linalg.norm(self.embedding))

    @property
    def embedding_norm(self) -> float | None:
        """Same as `magnitude`, under InsightFace's name."""
        return self.magnitude

    @property
    def normed_embedding(self) -> NDArray[np.float32] | None:
        """Embedding scaled to unit length, shape (D,), float32."""
        if self.embedding is None:
            return None
        length = float(np.linalg.norm(self.embedding))
        return self.embedding if length == 0 else (self.embedding / np.float32(length)).astype(np.float32)

    @property
    def bbox_xywh(self) -> NDArray[np.float32]:
        """Box as x, y, width, height in pixels, shape (4,), float32."""
        x1, y1, x2, y2 = self.bbox
        return np.array([x1, y1, x2 - x1, y2 - y1], dtype=np.float32)

    @property
    def size(self) -> float:
        """Shorter side of the box in pixels."""
        return float(min(self.bbox[2] - self.bbox[0], self.bbox[3] - self.bbox[1]))

    def to_dict(self, *, embedding: bool = False) -> dict[str, Any]:
        """Return plain Python values ready for JSON; the embedding itself only on request, as it is biometric data."""
        values: dict[str, Any] = {
            "bbox": [round(float(v), 2) for v in self.bbox],
            "kps": [[round(float(v), 2) for v in point] for point in self.kps],
            "det_score": round(self.det_score, 4),
            "magnitude": self.magnitude,
            "recognizability": self.recognizability,
            "quality": self.quality,
            "contract": self.contract,
        }
        if self.quality_reasons is not None:
            values["quality_reasons"] = [reading.to_dict() for reading in self.quality_reasons]
        if embedding:
            values["embedding"] = None if self.embedding is None else [float(v) for v in self.embedding]
        return values


@dataclass(frozen=True, slots=True)
class Match:
    """Result of comparing two faces (1:1)."""

    similarity: float
    """Cosine of the two embeddings, -1..1; -1 when there was nothing to compare."""

    threshold: float
    """Smallest similarity that is accepted at `fmr` for this model, precision and runtime; more for fused templates."""

    fmr: float
    """False-match rate the threshold was measured at (ISO/IEC 19795-1)."""

    decision: Outcome
    """Accept, retry or reject."""

    reason: Reason
    """Why it is not a plain accept."""

    quality_a: float | None
    """Quality of the first face, 0..100."""

    quality_b: float | None
    """Quality of the second face, 0..100."""

    contract: str
    """Embedding contract id of the comparison."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "similarity": self.similarity,
            "threshold": self.threshold,
            "fmr": self.fmr,
            "decision": self.decision.value,
            "reason": list(self.reason.names()),
            "quality_a": self.quality_a,
            "quality_b": self.quality_b,
            "contract": self.contract,
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """One enrolled subject and how similar the probe is to the nearest of the subject's templates."""

    subject: str
    """Id given at enrolment."""

    similarity: float
    """Cosine, -1..1."""

    pictures: int | None = None
    """Pictures behind the nearest template; ``None`` where the gallery does not say."""


@dataclass(frozen=True, slots=True)
class Identification:
    """Result of searching a gallery (1:N)."""

    candidates: tuple[Candidate, ...]
    """Best first, one per subject; also those below the threshold, whom nobody must be taken for."""

    threshold: float
    """Smallest similarity that is accepted of the best candidate."""

    decision: Outcome
    """Accept, retry or reject, for the best candidate."""

    reason: Reason
    """Why it is not a plain accept."""

    contract: str | None
    """Embedding contract id of the gallery; ``None`` until somebody is enrolled."""

    fmr: float | None = None
    """False-match rate of one comparison at this threshold, where it was asked for or is known."""

    fpir: float | None = None
    """False-positive identification rate of the search, where it was asked for (ISO/IEC 19795-1)."""

    extrapolated: bool = False
    """Whether the threshold lies beyond what was measured."""

    @property
    def subject(self) -> str | None:
        """Id of the accepted subject, ``None`` unless the decision is accept."""
        return self.candidates[0].subject if self.decision is Outcome.ACCEPT else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "subject": self.subject,
            "decision": self.decision.value,
            "reason": list(self.reason.names()),
            "threshold": self.threshold,
            "fmr": self.fmr,
            "fpir": self.fpir,
            "extrapolated": self.extrapolated,
            "contract": self.contract,
            "candidates": [{"subject": c.subject, "similarity": c.similarity} for c in self.candidates],
        }
