"""Runs the stages of a door: times each, and turns whatever goes wrong in one into one kind of error."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import QCFaceError

_T = TypeVar("_T")

_KEPT = 1024
"""Durations kept of each stage."""


class StageError(Exception):
    """A stage failed or took too long. Never leaves the door: it becomes an event."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long a stage took, over its last runs."""

    runs: int
    """Since the start."""
    median_ms: float
    """Milliseconds."""
    p99_ms: float
    """Milliseconds."""


class Stages:
    """The stages of one door. `run` belongs to one thread; `times` and `busy` may be asked from any.

    Parameters
    ----------
    timeout : float
        Seconds a stage may take.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._seconds: dict[str, deque[float]] = {}
        self._runs: dict[str, int] = {}
        self._busy: tuple[str, float] | None = None
        self.succeeded: set[str] = set()
        """Stages that worked since this was last cleared."""

    def run(self, stage: str, call: Callable[[], _T]) -> _T:
        """Return what `call` returns.

        Raises
        ------
        StageError
            If it raises, or takes longer than the timeout: its answer may be right, but is too late to open a door.
        """
        start = steady_seconds()
        self._busy = (stage, start)
        try:
            value = call()
        except StageError:
            raise
        except QCFaceError as error:
            raise StageError(stage, f"{stage} failed: {error}") from error
        except Exception as error:
            # A foreign message may hold anything, such as an address with its password.
            raise StageError(stage, f"{stage} failed: {type(error).__name__}") from error
        finally:
            self._busy = None
            taken = steady_seconds() - start
            self.note(stage, taken)
        if taken > self._timeout:
            raise StageError(stage, f"{stage} took {taken:.2f} s, more than {self._timeout:g} s")
        self.succeeded.add(stage)
        return value

    def note(self, stage: str, seconds: float) -> None:
        """Count a duration that was measured elsewhere."""
        with self._lock:
            self._seconds.setdefault(stage, deque(maxlen=_KEPT)).append(seconds)
            self._runs[stage] = self._runs.get(stage, 0) + 1

    @property
    def busy(self) -> tuple[str, float] | None:
        """The stage that is running and for how many seconds; ``None`` where none is."""
        running = self._busy
        return None if running is None else (running[0], steady_seconds() - running[1])

    def times(self) -> dict[str, StageTimes]:
        """Return the durations of every stage that ran."""
        with self._lock:
            copies = {stage: (self._runs[stage], np.array(values) * 1e3) for stage, values in self._seconds.items()}
        return {
            stage: StageTimes(runs, float(np.median(values)), float(np.percentile(values, 99)))
            for stage, (runs, values) in copies.items()
        }
