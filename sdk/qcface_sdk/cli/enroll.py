"""Enrol a person into a gallery from one or more pictures.

The pictures are fused into one template, the better faces weighing more. The largest face of each picture is taken; it
must be clearly the largest (or use --largest) and pass the enrolment gate (or use --allow-low-quality), and must not
look like somebody enrolled under another id (or use --allow-duplicate). Nothing is stored unless every picture is in
order. The gallery is made if it does not exist, encrypted, with its master key in GALLERY.key unless --key names
another place; it belongs to one model and refuses others. A subject enrolled again gets one more template.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.enrolment import EnrolmentPicture, add_enrolment_options, judge_picture
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import place
from qcface_sdk.cli.options import add_engine_options, add_json_option, add_picture_inputs, open_engine
from qcface_sdk.cli.pictures import find_pictures
from qcface_sdk.cli.printing import number_or_dash, plural, print_error, print_json
from qcface_sdk.cli.progress import Progress
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import EnrolmentRefusedError
from qcface_sdk.gallery import Enrolment, EnrolmentIssue, Gallery

_EXAMPLES = """\
  qcface enroll staff.db ann-lee badge.jpg
  qcface enroll staff.db ann-lee ann1.jpg ann2.jpg ann3.jpg
  qcface enroll staff.db bob bob/ --largest
  qcface enroll staff.db visitor-7 face.jpg --consent "form 17" --expires 2027-03-31

--json prints {"gallery", "subject", "pictures": [{"file", "faces", "quality", "problem"}], "enrolled", "problems",
"contract", "receipt"}. Exit status 3 if a picture has no face, two of about one size, or too poor a face, or if the
person looks like somebody else enrolled; nothing is stored then. For a folder of people: qcface gallery enroll-folder.
"""


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
    add_enrolment_options(parser)
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Check every picture, then store one template."""
    paths = find_pictures(args.pictures)
    with open_engine(args) as engine:
        with Progress(len(paths), "pictures") as bar:
            pictures = []
            for path in paths:
                pictures.append(judge_picture(path, engine, args))
                bar.advance()
        problems = [picture.problem for picture in pictures if picture.problem]
        receipt = None
        if not problems:
            try:
                receipt = _store(engine, args, pictures)
            except EnrolmentRefusedError as error:
                problems.append(f"{error} (--allow-duplicate)")
        contract = engine.contract
    for problem in problems:
        print_error(problem)
    if args.json:
        listed = [picture.to_dict() for picture in pictures]
        outcome = {"pictures": listed, "enrolled": not problems, "problems": problems, "contract": contract}
        outcome["receipt"] = None if receipt is None else receipt.to_dict()
        print_json({"gallery": str(args.gallery), "subject": args.subject, **outcome})
    elif not problems:
        qualities = ", ".join(number_or_dash(picture.quality, 0) for picture in pictures)
        print(f"enrolled {args.subject} in {args.gallery} from {plural(len(paths), 'picture')}, quality {qualities}")
    return ExitCode.RETRY if problems else ExitCode.OK


def _store(engine: FaceEngine, args: argparse.Namespace, pictures: Sequence[EnrolmentPicture]) -> Enrolment:
    # What is wrong with a single picture was asked about before; here only the person's double is looked for.
    allow = EnrolmentIssue.SEVERAL_FACES | EnrolmentIssue.LOW_QUALITY
    crops = [picture.crop for picture in pictures if picture.crop is not None]
    with Gallery.open(args.gallery, engine=engine, key=args.key) as gallery:
        return gallery.enroll(
            args.subject,
            engine.template([picture.face for picture in pictures if picture.face is not None]),
            allow=allow,
            force=args.allow_duplicate,
            consent=args.consent,
            expires=args.expires,
            crops=np.concatenate(crops) if crops else None,
        )


COMMAND = Command(
    name="enroll",
    summary="add a person to a gallery",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
