"""TensorRT's log, kept for error messages: what went wrong stands there and nowhere else."""

from __future__ import annotations

from typing import Any

_MESSAGES = 20


def collecting_logger(tensorrt: Any, *, verbose: bool = False) -> Any:
    """Return a ``tensorrt.ILogger`` whose `faults` are the errors logged so far.

    Parameters
    ----------
    tensorrt : module
        ``tensorrt``, or a module with its interface.
    verbose : bool
        Print everything TensorRT says.
    """

    class Logger(tensorrt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            tensorrt.ILogger.__init__(self)
            self.faults: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if int(severity) <= int(tensorrt.ILogger.Severity.ERROR) and len(self.faults) < _MESSAGES:
                self.faults.append(message)
            if verbose:
                print(f"TensorRT: {message}")  # noqa: T201 - asked for on the command line

    return Logger()


def last_faults(logger: Any) -> str:
    """Return what TensorRT complained of, in one line of readable length."""
    return " ".join(" | ".join(logger.faults[-3:]).split())[:400] or "TensorRT gave no reason"
