"""What enrolling one person and enrolling a folder share: their options, and whether a picture may be enrolled."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcface_sdk.cli.gallery_actions.arguments import add_key, moment
from qcface_sdk.cli.pictures import Image
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import InputError
from qcface_sdk.gallery.judgement import rivals
from qcface_sdk.image import read_image
from qcface_sdk.results import Face


@dataclass(frozen=True, slots=True)
class EnrolmentPicture:
    """A picture, the face that would be enrolled of it, and what speaks against that."""

    file: Path
    faces: int
    """Faces found."""
    face: Face | None
    """The largest."""
    crop: Image | None
    """That face aligned, shape (1, 112, 112, 3)."""
    problem: str
    """Why it must not be enrolled, with what to do; empty if it may."""

    @property
    def quality(self) -> float | None:
        """0..100, where there is a face."""
        return None if self.face is None else self.face.quality

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {"file": str(self.file), "faces": self.faces, "quality": self.quality, "problem": self.problem or None}


def add_enrolment_options(parser: argparse.ArgumentParser) -> None:
    """Declare what may be allowed, what is noted about a person, and where the master key is."""
    parser.add_argument(
        "--largest", action="store_true", help="take the largest face even if another is nearly as large"
    )
    parser.add_argument("--allow-low-quality", action="store_true", help="store faces below the enrolment gate too")
    parser.add_argument(
        "--allow-duplicate", action="store_true", help="store a person although another id looks like the same person"
    )
    parser.add_argument("--consent", metavar="TEXT", help="what the person agreed to, such as a form's number")
    parser.add_argument(
        "--expires", type=moment, metavar="WHEN", help="not recognised after this: 2027-03-31, or a time with offset"
    )
    parser.add_argument(
        "--keep-crops", action="store_true", help="keep the face pictures, encrypted, for enrolling with another model"
    )
    add_key(parser)


def judge_picture(path: Path, engine: FaceEngine, args: argparse.Namespace) -> EnrolmentPicture:
    """Find the face of a picture and say whether it may be enrolled under the options.

    Raises
    ------
    InputError
        If the picture cannot be read or has an impossible size.
    """
    image = read_image(path)
    found = engine.get(image)
    if not found:
        problem = f"{path} shows no face; take another picture, or lower --min-face"
        return EnrolmentPicture(path, 0, None, None, problem)
    face, others = found[0], rivals(found)
    problem = ""
    if others and not args.largest:
        problem = f"{path} shows {others + 1} faces of about the same size; cut it to one person, or pass --largest"
    elif not (face.quality or 0.0) >= engine.enroll_below and not args.allow_low_quality:
        problem = (
            f"{path} has quality {face.quality or 0.0:.0f}, below {engine.enroll_below:g}; take a better picture, or "
            "pass --allow-low-quality"
        )
    crop = engine.align(image, face.kps) if args.keep_crops else None
    return EnrolmentPicture(path, len(found), face, crop, problem)


def judge_any_file(path: Path, engine: FaceEngine, args: argparse.Namespace) -> EnrolmentPicture:
    """Judge a picture as `judge_picture` does; one that cannot be read has that as its problem."""
    try:
        return judge_picture(path, engine, args)
    except InputError as error:
        return EnrolmentPicture(path, 0, None, None, str(error))
