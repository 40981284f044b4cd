"""Measure parts of the product on your own pictures: quality, and liveness checks."""

from __future__ import annotations

import argparse

from qcface_sdk.cli import eval_edc, eval_liveness
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode

ACTIONS: tuple[Command, ...] = (eval_edc.COMMAND, eval_liveness.COMMAND)

_EXAMPLES = """\
  qcface eval edc people/ --report edc.html
  qcface eval liveness --network 2.7_MiniFASNetV2.onnx --live staff/ --attack print=prints/

`qcface eval ACTION --help` explains one action; every action takes --json.
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
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(action=action)


def run(args: argparse.Namespace) -> ExitCode:
    """Do the chosen action."""
    action: Command = args.action
    return action.run(args)


COMMAND = Command(
    name="eval",
    summary="measure quality or a liveness check on labelled pictures",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
