"""One command of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from qcface_sdk.cli.exit_codes import ExitCode


@dataclass(frozen=True, slots=True)
class Command:
    """What `qcface` needs to know of a command."""

    name: str
    """The verb."""

    summary: str
    """One line for `qcface --help`."""

    description: str
    """Text above the options of `qcface NAME --help`."""

    examples: str
    """Lines to copy, below the options."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    """Declares arguments and options."""

    run: Callable[[argparse.Namespace], ExitCode]
    """Does the work, prints, returns the exit status; raises `QCFaceError`."""
