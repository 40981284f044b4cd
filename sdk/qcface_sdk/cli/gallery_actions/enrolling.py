"""The action that enrols a folder of people."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.enrolment import add_enrolment_options
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import place
from qcface_sdk.cli.gallery_actions.enrolment_page import render
from qcface_sdk.cli.gallery_actions.enrolment_run import FolderPerson, Outcome, enroll_people, find_people
from qcface_sdk.cli.options import add_engine_options, add_json_option, add_report_option, open_engine
from qcface_sdk.cli.printing import print_json, print_warning
from qcface_sdk.cli.progress import Progress
from qcface_sdk.gallery import Gallery


def _add_enroll_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "gallery",
        type=place,
        metavar="GALLERY",
        help="gallery file or milvus://host:port/name, made if it does not exist",
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a folder of pictures for each person, or one picture named ID.jpg"
    )
    parser.add_argument("--again", action="store_true", help="add a template to people who are enrolled already")
    add_enrolment_options(parser)
    add_report_option(parser, "who was taken, who was refused and why")
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def _enroll_folder(args: argparse.Namespace) -> ExitCode:
    people = find_people(args.folder)
    with (
        open_engine(args) as engine,
        Gallery.open(args.gallery, engine=engine, key=args.key) as gallery,
        Progress(sum(len(paths) for paths in people.values()), "pictures") as bar,
    ):
        done = enroll_people(people, gallery, engine, args, bar.advance)
        gate, contract = engine.enroll_below, engine.contract
    if args.report is not None:
        page = render(done, str(args.gallery), str(args.folder), gate)
        # A file name need not be text; the page shows a question mark where it is none.
        args.report.write_text(page, encoding="utf-8", errors="replace")
    counts = {outcome.value: sum(one.outcome is outcome for one in done) for outcome in Outcome}
    if args.json:
        listed = [one.to_dict() for one in done]
        print_json({"gallery": str(args.gallery), "contract": contract, **counts, "people": listed})
    else:
        _print(done)
        print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return ExitCode.RETRY if counts["refused"] else ExitCode.OK


def _print(done: Sequence[FolderPerson]) -> None:
    for one in done:
        if one.outcome is Outcome.ENROLLED:
            print(f"enrolled {one.subject} from {len(one.taken)} of {len(one.pictures)} pictures")
        for picture in one.pictures:
            if picture.problem:
                print_warning(picture.problem)
        if one.outcome is Outcome.REFUSED:
            print(f"refused {one.subject}: {one.reason}")


ACTIONS = (
    Command(
        "enroll-folder",
        "enrol a folder of people",
        "Enrol everybody of a folder: FOLDER/ann-lee/*.jpg, or FOLDER/ann-lee.jpg. Of each person the pictures that\n"
        "show one clear face above the enrolment gate are fused; pictures that show somebody else are left out. Who\n"
        "has no such picture, or looks like somebody enrolled under another id, is refused and named with the reason.\n"
        "Each person is on disk before the next is looked at, and who is enrolled already is passed over: a run that\n"
        "was cut off is just started again. Exit status 3 if somebody was refused.\n\n"
        '--json prints {"gallery", "contract", "enrolled", "refused", "known", "people": [{"subject", "outcome",\n'
        '"reason", "quality", "similar_to", "pictures": [{"file", "faces", "quality", "problem"}]}]}.',
        "  qcface gallery enroll-folder staff.db badges/ --report badges.html\n"
        '  qcface gallery enroll-folder staff.db badges/ --consent "contract 2026" --expires 2027-12-31 --json\n',
        _add_enroll_folder,
        _enroll_folder,
    ),
)
