"""The `qcface` command line: face detection, quality, verification and identification on picture files.

Each command is one module with a `COMMAND`; this one parses, runs it, and turns errors into one line and an exit
status.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

from qcface_sdk.cli import (
    bench,
    calibrate,
    demo,
    detect,
    doctor,
    embed,
    enroll,
    eval,
    gallery,
    identify,
    keys,
    models,
    quality,
    run,
    serve,
    verify,
)
from qcface_sdk.cli.command import Command, add_commands
from qcface_sdk.cli.exit_codes import HELP, ExitCode, exit_code_of_error
from qcface_sdk.cli.printing import print_error
from qcface_sdk.cli.versions import package_version
from qcface_sdk.errors import QCFaceError

__all__ = ["COMMANDS", "main"]

COMMANDS: tuple[Command, ...] = (
    demo.COMMAND,
    doctor.COMMAND,
    detect.COMMAND,
    quality.COMMAND,
    calibrate.COMMAND,
    eval.COMMAND,
    verify.COMMAND,
    enroll.COMMAND,
    identify.COMMAND,
    gallery.COMMAND,
    embed.COMMAND,
    run.COMMAND,
    serve.COMMAND,
    keys.COMMAND,
    models.COMMAND,
    bench.COMMAND,
)

_FIRST_STEPS = """\
first steps:
  qcface doctor                          is everything installed, does inference work?
  qcface demo --output demo              enrol, recognise and refuse people on two photographs
  qcface verify badge.jpg door.jpg       are these the same person?
  qcface enroll staff.db ann ann*.jpg    then: qcface identify staff.db door.jpg

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        Exit status, see `qcface_sdk.cli.exit_codes.ExitCode`.
    """
    try:
        args = _parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    _print_any_file_name()
    try:
        code = _run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        code = ExitCode.BROKEN_PIPE
    except KeyboardInterrupt:
        print_error("interrupted")
        code = ExitCode.INTERRUPTED
    return int(code)


def _run(args: argparse.Namespace) -> ExitCode:
    command: Command = args.command
    try:
        return command.run(args)
    except QCFaceError as error:
        if args.debug:
            traceback.print_exc()
        print_error(error)
        return exit_code_of_error(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        if args.debug:
            traceback.print_exc()
        print_error(f"{error.filename or command.name}: {error.strerror or error}")
        return ExitCode.USAGE
    except Exception:  # noqa: BLE001 - an exit status of 1 would read as "another person"
        traceback.print_exc()
        print_error("this is a fault in qcface; please report the lines above")
        return ExitCode.INTERNAL


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qcface",
        description="Face recognition for access-control cameras: find faces, say how recognizable they are, decide.",
        epilog=_FIRST_STEPS + HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"qcface {package_version('qcface-sdk')}")
    parser.set_defaults(debug=False)
    add_commands(parser, COMMANDS)
    return parser


def _print_any_file_name() -> None:
    """Let names that are not text in this locale be printed escaped instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _silence_stdout() -> None:
    """Point standard output at nothing, so that Python's flush at exit does not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
