"""How long a run is, how its learning rate goes, and how a time budget becomes a number of steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from qcface_train.arguments import RunArguments

_REPLAN_SECONDS = 120.0
_MEASURED_STEPS = 20


@dataclass(slots=True)
class Plan:
    """How long the run is and where its norm phase begins; moved only by a time budget or by `control.json`."""

    steps: int
    norm_from: int

    @classmethod
    def of(cls, steps: int, norm_phase: float) -> Plan:
        """Plan a run of `steps` steps with the last `norm_phase` of them in the norm phase."""
        return cls(steps, steps if norm_phase == 0 else round(steps * (1 - norm_phase)))


def planned_steps(run: RunArguments, pictures: int) -> int:
    """Return the steps of a run over `pictures` training pictures."""
    return math.ceil(run.epochs * pictures / run.batch) if run.epochs else run.steps


def learning_rate(run: RunArguments, steps: int, step: int) -> float:
    """Return the body's rate at a step: linear warm-up, then cosine or drops, over both phases."""
    if step < run.warmup:
        return run.lr * (step + 1) / run.warmup
    if run.schedule == "step":
        passed = sum(step >= share * steps for share in run.drops)
        return float(run.lr * run.drop**passed)
    share = min(1.0, (step - run.warmup) / max(1, steps - run.warmup))
    return run.lr * (run.last_lr + (1 - run.last_lr) * 0.5 * (1 + math.cos(math.pi * share)))


class Clock:
    """Measures the rate of a run and turns a time budget into a number of steps."""

    _LONGEST_STEP = 10.0
    """Seconds; what goes beyond (a stopped process, a sleeping machine) says nothing of the rate."""

    def __init__(self, minutes: float | None, first_step: int) -> None:
        now = time.monotonic()
        self._start = self._last = self._planned_at = now
        self._deadline = None if minutes is None else now + minutes * 60
        self._first = self._mark_step = first_step
        self._active = self._mark_active = 0.0
        self._planned = False

    def tick(self) -> None:
        """Note the end of a step."""
        now = time.monotonic()
        self._active += min(now - self._last, self._LONGEST_STEP)
        self._last = now

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return time.monotonic() - self._start

    def images_per_second(self, step: int, batch: int) -> float:
        """Return the mean rate so far."""
        return (step - self._first) * batch / max(self._active, 1e-9)

    def first_end(self) -> int:
        """Return where a plan may end at the earliest: with a budget, not before the pace is measured."""
        return 0 if self._deadline is None else self._first + _MEASURED_STEPS

    def is_replanning_due(self, step: int) -> bool:
        """Return whether there is a budget and the last plan is old."""
        if self._deadline is None:
            return False
        early = not self._planned and step - self._first >= _MEASURED_STEPS
        return early or time.monotonic() - self._planned_at > _REPLAN_SECONDS

    def plan_steps(self, step: int) -> int:
        """Return the step at which the budget will be used up, from the pace since the last plan and of the run."""
        now = time.monotonic()
        recent = (step - self._mark_step) / max(self._active - self._mark_active, 1e-9)
        whole = (step - self._first) / max(self._active, 1e-9)
        # Half each: neither one busy minute nor a change for good misleads the plan for long.
        left = max(0.0, (self._deadline or now) - now)
        self._mark_step, self._mark_active, self._planned_at, self._planned = step, self._active, now, True
        return step + int(left * (recent + whole) / 2)
