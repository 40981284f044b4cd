"""One row of a collection: a template as a vector server keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qcface_sdk.gallery.collection import person_of
from qcface_sdk.template import Template


@dataclass(frozen=True, slots=True)
class Listing:
    """What a listing says of one template: all that a synchronisation compares."""

    uid: str
    subject: str
    consent: str | None
    expires: float | None
    enrolled: float
    """Unix seconds."""

    @classmethod
    def of(cls, row: dict[str, Any]) -> Listing:
        """Return it from the fields of a row."""
        consent, expires = consent_of_row(row), expires_of_row(row)
        return cls(str(row["uid"]), str(row["subject"]), consent, expires, int(row["enrolled"]) / 1e9)


LISTED = ("uid", "subject", "consent", "expires", "enrolled")
"""Fields that a `Listing` is made of."""


def expires_of_row(row: dict[str, Any]) -> float | None:
    """Return the end of a person's time, ``None`` for never."""
    return None if row["expires"] < 0 else float(row["expires"])


def consent_of_row(row: dict[str, Any]) -> str | None:
    """Return the note of consent."""
    return str(row["consent"]) or None


def quality_of_row(row: dict[str, Any]) -> float | None:
    """Return the quality of the picture, as far as it is known."""
    return None if row["quality"] < 0 else float(row["quality"])


def row_of(
    uid: str, subject: str, template: Template, quality: float | None, consent: str, expires: float, enrolled: int
) -> dict[str, Any]:
    """Return a template as it is stored."""
    return {
        "uid": uid,
        "person": person_of(subject),
        "subject": subject,
        "contract": template.contract,
        "consent": consent,
        "vector": template.vector.tolist(),
        "magnitude": template.magnitude,
        "created": template.created,
        "quality": -1.0 if quality is None else quality,
        "expires": expires,
        "count": template.count,
        "enrolled": enrolled,
    }


def template_of_row(row: dict[str, Any]) -> Template:
    """Return the template of a stored row."""
    return Template(
        str(row["contract"]),
        np.asarray(row["vector"], np.float32),
        float(row["magnitude"]),
        int(row["count"]),
        float(row["created"]),
        quality_of_row(row),
    )
