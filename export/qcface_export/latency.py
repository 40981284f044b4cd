"""How long one face takes, file against file in the same run: turn by turn, so that a busy machine is busy for all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qcface_sdk.runtime import Runner, open_runner

_WARM_UP = 10


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds of one face on one thread."""

    name: str
    """What ran."""
    best: float
    """The fastest run: what the machine can do when nothing else runs."""
    median: float
    """The middle run: what it did."""

    def __str__(self) -> str:
        return f"{self.name}: best {self.best:.2f} ms, median {self.median:.2f} ms"


def measure_latency(files: Sequence[tuple[str, bytes, str]], *, rounds: int = 200) -> list[Latency]:
    """Time files, given as (name, content, runtime), with one face and one thread."""
    runners = [open_runner(data, runtime, 1) for _, data, runtime in files]
    try:
        times = _race(runners, rounds)
    finally:
        for runner in runners:
            runner.close()
    return [
        Latency(name, 1e3 * min(seconds), 1e3 * statistics.median(seconds))
        for (name, _, _), seconds in zip(files, times, strict=True)
    ]


def _race(runners: Sequence[Runner], rounds: int) -> list[list[float]]:
    face = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    times: list[list[float]] = [[] for _ in runners]
    for turn in range(rounds + _WARM_UP):
        for runner, seconds in zip(runners, times, strict=True):
            start = time.perf_counter()
            runner.infer({runner.inputs[0].name: face})
            if turn >= _WARM_UP:
                seconds.append(time.perf_counter() - start)
    return times
