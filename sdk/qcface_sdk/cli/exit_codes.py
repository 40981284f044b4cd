"""What the exit status of `qcface` means; a door script may open on 0 and on nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from qcface_sdk.errors import BackendUnavailableError, ContractMismatchError, GalleryError, ModelError, QCFaceError
from qcface_sdk.results import Outcome


class ExitCode(IntEnum):
    """Exit status of the process."""

    OK = 0
    """Done; for verify and identify: every comparison was accepted."""
    REJECT = 1
    """Compared and refused: another person, nobody like that enrolled, or a check that failed."""
    USAGE = 2
    """Wrong use or bad input: unknown option, unreadable picture, folder without pictures."""
    RETRY = 3
    """No answer: no face, or a face too poor to decide on. Take another picture."""
    MODEL = 4
    """The model bundle, a backend or a missing package."""
    GALLERY = 5
    """The gallery: missing, foreign, of another model, unknown or duplicate subject, storage."""
    INTERNAL = 70
    """A fault in qcface itself; please report the traceback."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Whoever read the output went away."""


HELP = """\
exit status:
  0    done; for verify and identify: accepted
  1    compared and refused (reject), or a check that failed
  2    wrong use or bad input (unknown option, unreadable picture)
  3    retry: no face, or too poor a face to decide on
  4    model bundle, backend or missing package
  5    gallery (missing, foreign, of another model, unknown subject)
  70   a fault in qcface itself      130  Ctrl-C      141  broken pipe
  Of several pictures the worst counts, in the order 2, 1, 3, 0: only 0 means that all were accepted.
"""

_WORST_FIRST = (ExitCode.USAGE, ExitCode.REJECT, ExitCode.RETRY, ExitCode.OK)
_OF_OUTCOME = {Outcome.ACCEPT: ExitCode.OK, Outcome.REJECT: ExitCode.REJECT, Outcome.RETRY: ExitCode.RETRY}


def exit_code_of_error(error: QCFaceError) -> ExitCode:
    """Return the exit status that stands for an error."""
    # Two embedding contracts meet on the command line only when a gallery was made with another model.
    if isinstance(error, (GalleryError, ContractMismatchError)):
        return ExitCode.GALLERY
    if isinstance(error, (ModelError, BackendUnavailableError)):
        return ExitCode.MODEL
    return ExitCode.USAGE


def exit_code_of_outcome(outcome: Outcome) -> ExitCode:
    """Return the exit status that stands for a decision."""
    return _OF_OUTCOME[outcome]


def worst_of(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the one exit status for several pictures; retry when there is none to judge."""
    seen = set(codes)
    return next((code for code in _WORST_FIRST if code in seen), ExitCode.RETRY)
