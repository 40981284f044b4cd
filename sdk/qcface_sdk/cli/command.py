"""One command of the command line, or one action of a command, and how a parser is made of several."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qcface_sdk.cli.exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class Command:
    """What `qcface` needs to know of a command, and a command of each of its actions."""

    name: str
    """The verb."""

    summary: str
    """One line for the help of what it belongs to."""

    description: str
    """Text above the options of `qcface NAME --help`."""

    examples: str
    """Lines to copy, below the options."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Declares arguments and options."""

    run: Callable[[argparse.Namespace], ExitCode]
    """Does the work, prints, returns the exit status; raises `QCFaceError`."""


def add_commands(parser: argparse.ArgumentParser, commands: Sequence[Command], *, noun: str = "command") -> None:
    """Let a parser take one of several commands; the chosen one is put into the namespace under `noun`."""
    choices = parser.add_subparsers(title=f"{noun}s", metavar=noun.upper(), required=True)
    for command in commands:
        sub = choices.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog=f"examples:\n{command.examples}\nexit status: see qcface --help",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        # Both a command and its action take it; its absence after the one must not undo it after the other.
        sub.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        sub.set_defaults(**{noun: command})


def command_of_actions(
    name: str, summary: str, *, description: str, examples: str, actions: Sequence[Command]
) -> Command:
    """Return a command that does one of several actions: ``qcface NAME ACTION ...``."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_commands(parser, actions, noun="action")

    def run(args: argparse.Namespace) -> ExitCode:
        action: Command = args.action
        return action.run(args)

    return Command(name, summary, description, examples, add_arguments, run)
