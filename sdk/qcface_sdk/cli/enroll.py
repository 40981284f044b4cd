"""Enrol a person into a gallery from one or more pictures.

The pictures are fused into one template, the better faces weighing more. The largest face of each picture is taken; it
must be clearly the largest (or use --largest) and pass the quality gate (or use --allow-low-quality). Nothing is stored
unless every picture is in order. The gallery file is made if it does not exist; it belongs to one model and refuses
others. A subject enrolled again gets one more template.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_engine_options, add_json_option, add_picture_inputs, open_engine
from qcface_sdk.cli.pictures import find_pictures
from qcface_sdk.cli.printing import number_or_dash, plural, print_error, print_json
from qcface_sdk.cli.progress import Progress
from qcface_sdk.engine import FaceEngine
from qcface_sdk.gallery import Gallery
from qcface_sdk.image import read_image
from qcface_sdk.results import Face

_EXAMPLES = """\
  qcface enroll staff.db ann-lee badge.jpg
  qcface enroll staff.db ann-lee ann1.jpg ann2.jpg ann3.jpg
  qcface enroll staff.db bob bob/ --largest

--json prints {"gallery", "subject", "pictures": [{"file", "faces", "quality"}], "enrolled", "problems", "contract"}.
Exit status 3 if a picture has no face, two of about one size, or too poor a face; nothing is stored then.
"""

_RIVAL_SHARE = 0.7
"""A second face whose shorter side is at least this share of the largest one's may be the person meant."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("gallery", type=Path, metavar="GALLERY", help="gallery file, made if it does not exist")
    parser.add_argument("subject", metavar="SUBJECT", help="id of the person")
    add_picture_inputs(parser)
    parser.add_argument(
        "--largest", action="store_true", help="take the largest face even if another is nearly as large"
    )
    parser.add_argument("--allow-low-quality", action="store_true", help="store faces below the quality gate too")
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Check every picture, then store one template."""
    paths = find_pictures(args.pictures)
    problems: list[str] = []
    pictures = []
    faces: list[Face] = []
    with open_engine(args) as engine:
        with Progress(len(paths), "pictures") as bar:
            for path in paths:
                found = engine.get(read_image(path))
                problem = _problem(path, found, engine, args)
                problems += [problem] if problem else []
                faces += found[:1]
                quality = found[0].quality if found else None
                pictures.append({"file": str(path), "faces": len(found), "quality": quality})
                bar.advance()
        if not problems:
            with Gallery.open(args.gallery, contract=engine.contract) as gallery:
                gallery.enroll(args.subject, engine.template(faces))
        contract = engine.contract
    for problem in problems:
        print_error(problem)
    if args.json:
        outcome = {"pictures": pictures, "enrolled": not problems, "problems": problems, "contract": contract}
        print_json({"gallery": str(args.gallery), "subject": args.subject, **outcome})
    elif not problems:
        qualities = ", ".join(number_or_dash(face.quality, 0) for face in faces)
        print(f"enrolled {args.subject} in {args.gallery} from {plural(len(paths), 'picture')}, quality {qualities}")
    return ExitCode.RETRY if problems else ExitCode.OK


def _problem(path: Path, found: tuple[Face, ...], engine: FaceEngine, args: argparse.Namespace) -> str:
    """Return why this picture must not be enrolled, or nothing."""
    if not found:
        return f"{path} shows no face; take another picture, or lower --min-face"
    rivals = sum(face.size >= _RIVAL_SHARE * found[0].size for face in found[1:])
    if rivals and not args.largest:
        return f"{path} shows {rivals + 1} faces of about the same size; cut it to one person, or pass --largest"
    quality = found[0].quality or 0.0
    if quality < engine.retry_below and not args.allow_low_quality:
        gate = f"{engine.retry_below:g}"
        return f"{path} has quality {quality:.0f}, below {gate}; take a better picture, or pass --allow-low-quality"
    return ""


COMMAND = Command(
    name="enroll",
    summary="add a person to a gallery",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
