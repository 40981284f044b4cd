"""List who is enrolled in a gallery, or remove somebody."""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import open_existing
from qcface_sdk.cli.options import add_json_option
from qcface_sdk.cli.printing import plural, print_json, print_table

_EXAMPLES = """\
  qcface gallery staff.db
  qcface gallery staff.db --remove ann-lee

--json prints {"gallery", "contract", "subjects": [{"subject", "templates", "pictures"}], "removed"}. Exit status 5 if
there is no such gallery or subject.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("gallery", type=Path, metavar="GALLERY", help="gallery file, see qcface enroll")
    parser.add_argument("--remove", metavar="SUBJECT", help="forget this person")
    add_json_option(parser, "one JSON object")


def run(args: argparse.Namespace) -> ExitCode:
    """Remove a subject if asked, then list the gallery."""
    with open_existing(args.gallery, read_only=args.remove is None) as gallery:
        contract = gallery.contract
        removed = 0 if args.remove is None else gallery.remove(args.remove)
        templates = {subject: gallery.get(subject) for subject in gallery.subjects()}
    rows = [(subject, len(held), sum(template.count for template in held)) for subject, held in templates.items()]
    if args.json:
        listed = [{"subject": name, "templates": count, "pictures": pictures} for name, count, pictures in rows]
        print_json({"gallery": str(args.gallery), "contract": contract, "subjects": listed, "removed": removed})
    elif args.remove is not None:
        print(f"removed {args.remove} ({plural(removed, 'template')}) from {args.gallery}")
    else:
        table = [(name, str(count), str(pictures)) for name, count, pictures in rows]
        print_table(("subject", "templates", "pictures"), table, right=(1, 2))
        print(f"{plural(len(rows), 'subject')}, contract {contract or 'none yet'}")
    return ExitCode.OK


COMMAND = Command(
    name="gallery",
    summary="list or remove the people of a gallery",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
