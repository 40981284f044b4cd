"""A face of a picture file, and what was judged of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcface_sdk.quality import QualityReport
from qcface_sdk.results import Face

COLUMNS = ("file", "face", "quality", "recognizability", "magnitude", "size", "det_score", "usable", "reasons")
"""Head of the table that `JudgedFace.cells` fills."""


@dataclass(frozen=True, slots=True)
class JudgedFace:
    """One face, where it is, how good it is and why it is not better."""

    file: Path
    """Picture it was found in."""
    number: int
    """Which of that picture's faces, the largest being 1."""
    face: Face
    """From `FaceEngine.get`."""
    usable: bool
    """Whether it passes the gate for probes."""
    report: QualityReport
    """From `FaceEngine.assess`."""
    crop: bytes | None = None
    """The aligned face as JPEG, where a contact sheet is wanted: a folder of thousands then fits into memory."""

    @property
    def quality(self) -> float:
        """0..100; 0 where it is not known."""
        return self.face.quality or 0.0

    @property
    def reasons(self) -> str:
        """What is poor or worth knowing, in words for people."""
        return ", ".join(reason.replace("_", " ") for reason in self.report.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "file": str(self.file),
            "face": self.number,
            "usable": self.usable,
            **self.face.to_dict(),
            "reasons": list(self.report.reasons),
            "advice": list(self.report.advice),
        }

    def cells(self) -> tuple[str, ...]:
        """Return one row of the table."""
        face = self.face
        return (
            str(self.file),
            str(self.number),
            f"{self.quality:.1f}",
            f"{face.recognizability or 0.0:.4f}",
            f"{face.magnitude or 0.0:.2f}",
            f"{face.size:.0f}",
            f"{face.det_score:.2f}",
            "yes" if self.usable else "retry",
            self.reasons,
        )
