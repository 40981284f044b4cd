"""Enrol a person into a gallery from one or more pictures.

The pictures are fused into one template, the better faces weighing more. The largest face of each picture is taken; it
must be clearly the largest (or use --largest) and pass the enrolment gate (or use --allow-low-quality), and must not
look like somebody enrolled under another id (or use --allow-duplicate). Nothing is stored unless every picture is in
order. The gallery is made if it does not exist, encrypted, with its master key in GALLERY.key unless --key names
another place; it belongs to one model and refuses others. A subject enrolled again gets one more template.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import place
from qcface_sdk.cli.gallery_actions.arguments import add_key, moment
from qcface_sdk.cli.options import add_engine_options, add_json_option, add_picture_inputs, open_engine
from qcface_sdk.cli.pictures import find_pictures
from qcface_sdk.cli.printing import number_or_dash, plural, print_error, print_json
from qcface_sdk.cli.progress import Progress
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import EnrolmentRefusedError
from qcface_sdk.gallery import Enrolment, EnrolmentIssue, Gallery
from qcface_sdk.image import read_image
from qcface_sdk.results import Face

_EXAMPLES = """\
  qcface enroll staff.db ann-lee badge.jpg
  qcface enroll staff.db ann-lee ann1.jpg ann2.jpg ann3.jpg
  qcface enroll staff.db bob bob/ --largest
  qcface enroll staff.db visitor-7 face.jpg --consent "form 17" --expires 2027-03-31

--json prints {"gallery", "subject", "pictures": [{"file", "faces", "quality"}], "enrolled", "problems", "contract",
"receipt"}. Exit status 3 if a picture has no face, two of about one size, or too poor a face, or if the person looks
like somebody else enrolled; nothing is stored then.
"""

_RIVAL_SHARE = 0.7
"""A second face whose shorter side is at least this share of the largest one's may be the person meant."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument(
        "gallery",
        type=place,
        metavar="GALLERY",
        help="gallery file or milvus://host:port/name, made if it does not exist",
    )
    parser.add_argument("subject", metavar="SUBJECT", help="id of the person")
    add_picture_inputs(parser)
    parser.add_argument(
        "--largest", action="store_true", help="take the largest face even if another is nearly as large"
    )
    parser.add_argument("--allow-low-quality", action="store_true", help="store faces below the enrolment gate too")
    parser.add_argument(
        "--allow-duplicate", action="store_true", help="store the person although another id looks like the same person"
    )
    parser.add_argument("--consent", metavar="TEXT", help="what the person agreed to, such as a form's number")
    parser.add_argument(
        "--expires", type=moment, metavar="WHEN", help="not recognised after this: 2027-03-31, or a time with offset"
    )
    parser.add_argument(
        "--keep-crops", action="store_true", help="keep the face pictures, encrypted, for enrolling with another model"
    )
    add_key(parser)
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Check every picture, then store one template."""
    paths = find_pictures(args.pictures)
    problems: list[str] = []
    pictures = []
    faces: list[Face] = []
    crops: list[NDArray[np.uint8]] = []
    with open_engine(args) as engine:
        with Progress(len(paths), "pictures") as bar:
            for path in paths:
                image = read_image(path)
                found = engine.get(image)
                problem = _problem(path, found, engine, args)
                problems += [problem] if problem else []
                faces += found[:1]
                crops += [engine.align(image, face.kps) for face in found[:1]] if args.keep_crops else []
                quality = found[0].quality if found else None
                pictures.append({"file": str(path), "faces": len(found), "quality": quality})
                bar.advance()
        receipt = None
        if not problems:
            try:
                receipt = _store(engine, args, faces, crops)
            except EnrolmentRefusedError as error:
                problems.append(f"{error} (--allow-duplicate)")
        contract = engine.contract
    for problem in problems:
        print_error(problem)
    if args.json:
        outcome = {"pictures": pictures, "enrolled": not problems, "problems": problems, "contract": contract}
        outcome["receipt"] = None if receipt is None else receipt.to_dict()
        print_json({"gallery": str(args.gallery), "subject": args.subject, **outcome})
    elif not problems:
        qualities = ", ".join(number_or_dash(face.quality, 0) for face in faces)
        print(f"enrolled {args.subject} in {args.gallery} from {plural(len(paths), 'picture')}, quality {qualities}")
    return ExitCode.RETRY if problems else ExitCode.OK


def _store(
    engine: FaceEngine, args: argparse.Namespace, faces: list[Face], crops: list[NDArray[np.uint8]]
) -> Enrolment:
    # What is wrong with a single picture was asked about before; here only the person's double is looked for.
    allow = EnrolmentIssue.SEVERAL_FACES | EnrolmentIssue.LOW_QUALITY
    with Gallery.open(args.gallery, engine=engine, key=args.key) as gallery:
        return gallery.enroll(
            args.subject,
            engine.template(faces),
            allow=allow,
            force=args.allow_duplicate,
            consent=args.consent,
            expires=args.expires,
            crops=np.concatenate(crops) if crops else None,
        )


def _problem(path: Path, found: tuple[Face, ...], engine: FaceEngine, args: argparse.Namespace) -> str:
    """Return why this picture must not be enrolled, or nothing."""
    if not found:
        return f"{path} shows no face; take another picture, or lower --min-face"
    rivals = sum(face.size >= _RIVAL_SHARE * found[0].size for face in found[1:])
    if rivals and not args.largest:
        return f"{path} shows {rivals + 1} faces of about the same size; cut it to one person, or pass --largest"
    quality = found[0].quality or 0.0
    if quality < engine.enroll_below and not args.allow_low_quality:
        gate = f"{engine.enroll_below:g}"
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
