from __future__ import annotations

import pytest

from qcface_sdk import errors
from qcface_sdk.cli.exit_codes import HELP, ExitCode, exit_code_of_error, exit_code_of_outcome, worst_of
from qcface_sdk.errors import QCFaceError
from qcface_sdk.results import Outcome


def _descendants(kind: type[QCFaceError]) -> list[type[QCFaceError]]:
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in _descendants(child))]


@pytest.mark.parametrize("kind", _descendants(QCFaceError), ids=lambda kind: kind.__name__)
def test_exit_code_of_error_is_never_accept_or_reject(kind: type[QCFaceError]) -> None:
    assert exit_code_of_error(kind("wanted, got")) in (ExitCode.USAGE, ExitCode.MODEL, ExitCode.GALLERY)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ImageReadError, ExitCode.USAGE),
        (errors.OptionError, ExitCode.USAGE),
        (errors.ModelHashError, ExitCode.MODEL),
        (errors.ThresholdUnavailableError, ExitCode.MODEL),
        (errors.BackendUnavailableError, ExitCode.MODEL),
        (errors.UnknownSubjectError, ExitCode.GALLERY),
        (errors.ContractMismatchError, ExitCode.GALLERY),
    ],
)
def test_exit_code_of_error_says_whose_fault_it_is(kind: type[QCFaceError], code: ExitCode) -> None:
    assert exit_code_of_error(kind("wanted, got")) is code


def test_exit_code_of_outcome_is_zero_for_accept_alone() -> None:
    assert {outcome: int(exit_code_of_outcome(outcome)) for outcome in Outcome} == {
        Outcome.ACCEPT: 0,
        Outcome.REJECT: 1,
        Outcome.RETRY: 3,
    }


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ((), ExitCode.RETRY),
        ((0,), ExitCode.OK),
        ((0, 0), ExitCode.OK),
        ((0, 3), ExitCode.RETRY),
        ((3, 1, 0), ExitCode.REJECT),
        ((1, 2, 3, 0), ExitCode.USAGE),
    ],
)
def test_worst_of_is_zero_only_if_all_are(codes: tuple[int, ...], worst: ExitCode) -> None:
    assert worst_of(ExitCode(code) for code in codes) is worst


def test_help_names_every_exit_code() -> None:
    words = HELP.split()
    assert all(str(int(code)) in words for code in ExitCode)
