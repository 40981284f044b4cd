"""A folder of people into a gallery: who is taken, who is not, and why."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from qcface_sdk.cli.enrolment import EnrolmentPicture, judge_any_file
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import EnrolmentRefusedError, ImageReadError, OptionError
from qcface_sdk.gallery import EnrolmentIssue, Gallery
from qcface_sdk.gallery.subject import check_subject
from qcface_sdk.image import IMAGE_SUFFIXES

_OTHER_PERSON = (
    "does not look like the person's other pictures; take it out of the folder, or enrol it under its own id"
)


class Outcome(Enum):
    """What became of a person of the folder."""

    ENROLLED = "enrolled"
    REFUSED = "refused"
    KNOWN = "known"
    """Enrolled before, and left as it was."""


@dataclass(frozen=True, slots=True)
class FolderPerson:
    """One person of the folder."""

    subject: str
    outcome: Outcome
    reason: str
    """Why the person was not enrolled; empty if it was."""
    pictures: tuple[EnrolmentPicture, ...]
    """All of them, with what spoke against each; none of a person who was known."""
    quality: float | None = None
    """Of the fused template, 0..100."""
    similar_to: str | None = None
    """Another id that looks like the same person, and was allowed."""

    @property
    def taken(self) -> tuple[EnrolmentPicture, ...]:
        """Pictures that went into the template."""
        enrolled = self.outcome is Outcome.ENROLLED
        return tuple(picture for picture in self.pictures if enrolled and not picture.problem)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "subject": self.subject,
            "outcome": self.outcome.value,
            "reason": self.reason or None,
            "quality": self.quality,
            "similar_to": self.similar_to,
            "pictures": [picture.to_dict() for picture in self.pictures],
        }


def find_people(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures of each person: ``FOLDER/ID/any name`` and ``FOLDER/ID.jpg``, sorted by id.

    Raises
    ------
    ImageReadError
        If that is no folder, or there is no picture in it.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and not path.name.startswith("."):
            found.setdefault(path.stem if path.parent == folder else path.parent.name, []).append(path)
    if not found:
        endings = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ImageReadError(
            f"{folder} must be a folder with a folder of pictures for each person, or a picture named after each "
            f"({endings}); found none"
        )
    return dict(sorted(found.items()))


def enroll_people(
    people: dict[str, list[Path]],
    gallery: Gallery,
    engine: FaceEngine,
    args: argparse.Namespace,
    progress: Callable[[int], None],
) -> list[FolderPerson]:
    """Enrol one person after the other; each is on disk before the next is looked at."""
    known = set(gallery.subjects())
    done = []
    for subject, paths in people.items():
        if subject in known and not args.again:
            done.append(FolderPerson(subject, Outcome.KNOWN, "enrolled already; --again adds a template", ()))
            progress(len(paths))
            continue
        pictures = []
        for path in paths:
            pictures.append(judge_any_file(path, engine, args))
            progress(1)
        done.append(_enroll(subject, pictures, gallery, engine, args))
    return done


def _enroll(
    subject: str, judged: Sequence[EnrolmentPicture], gallery: Gallery, engine: FaceEngine, args: argparse.Namespace
) -> FolderPerson:
    pictures = tuple(judged)
    fusion = engine.fusion(max(1, len(pictures)))
    for picture in pictures:
        if picture.face is not None and not picture.problem:
            fusion.add(picture.face)
    pictures = tuple(
        picture
        if picture.problem or picture.face is None or fusion.uses(picture.face)
        else EnrolmentPicture(picture.file, picture.faces, picture.face, None, f"{picture.file} {_OTHER_PERSON}")
        for picture in pictures
    )
    if not fusion.count:
        return FolderPerson(subject, Outcome.REFUSED, "no usable picture", pictures)
    crops = [picture.crop for picture in pictures if picture.crop is not None and not picture.problem]
    try:
        receipt = gallery.enroll(
            check_subject(subject),
            fusion.template(),
            # What is wrong with a single picture was asked about before; here the person's double is looked for.
            allow=EnrolmentIssue.SEVERAL_FACES | EnrolmentIssue.LOW_QUALITY,
            force=args.allow_duplicate,
            consent=args.consent,
            expires=args.expires,
            crops=np.concatenate(crops) if crops else None,
        )
    except (EnrolmentRefusedError, OptionError) as error:
        return FolderPerson(subject, Outcome.REFUSED, str(error), pictures)
    return FolderPerson(subject, Outcome.ENROLLED, "", pictures, receipt.quality, receipt.similar_to)
