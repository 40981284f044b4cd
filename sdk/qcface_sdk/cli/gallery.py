"""Look after a gallery: who is in it, keys, backups, retention, moving people.

A gallery is one encrypted file with two beside it: GALLERY.keyring (one wrapped key per person) and, unless the master
key comes from elsewhere, GALLERY.key. Every action takes --key FILE or --key env:NAME for another place of the master
key, and --json.
"""

from __future__ import annotations

import argparse

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.gallery_actions import keeping, looking, measuring, transfers
from qcface_sdk.cli.gallery_actions.action import Action

ACTIONS: tuple[Action, ...] = (*looking.ACTIONS, *keeping.ACTIONS, *transfers.ACTIONS, *measuring.ACTIONS)

_EXAMPLES = """\
  qcface gallery list staff.db
  qcface gallery show staff.db ann-lee
  qcface gallery remove staff.db ann-lee --receipt ann-lee.json
  qcface gallery backup staff.db /backups/staff.db --keys /safe/staff.keyring

`qcface gallery ACTION --help` explains one action. Exit status 5 if there is no such gallery, subject or key.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions and their options."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for action in ACTIONS:
        sub = actions.add_parser(
            action.name,
            help=action.summary,
            description=action.description,
            epilog=f"examples:\n{action.examples}\nexit status: see qcface --help",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        action.add_arguments(sub)
        sub.add_argument(
            "--json", action="store_true", help="print one JSON object to standard output and nothing else"
        )
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(action=action)


def run(args: argparse.Namespace) -> ExitCode:
    """Do the chosen action."""
    action: Action = args.action
    return action.run(args)


COMMAND = Command(
    name="gallery",
    summary="look after a gallery: people, keys, backups, retention",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
