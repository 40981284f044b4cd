"""Learning rates and plans, and a clock that is not fooled by a stopped process."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("yaml")

from qcface_train import schedule
from qcface_train.arguments import Recipe, RunArguments
from qcface_train.schedule import Clock, learning_rate, planned_steps
from tiny_runs import make_trainer, tiny_recipe


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return tiny_recipe()


def test_cosine_rate_rises_and_falls_to_its_last_share() -> None:
    run = RunArguments(lr=2.0, warmup=10, last_lr=0.1)
    rates = [learning_rate(run, 110, step) for step in range(110)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[10] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(2.0 * (0.1 + 0.9 / 2))
    assert learning_rate(run, 110, 110) == pytest.approx(0.2)
    assert learning_rate(run, 110, 999) == pytest.approx(0.2)


def test_step_rate_drops_at_its_shares() -> None:
    run = RunArguments(lr=1.0, warmup=0, schedule="step", drops=(0.5, 0.8), drop=0.1)
    rates = [learning_rate(run, 10, step) for step in range(10)]
    assert rates == pytest.approx([1.0] * 5 + [0.1] * 3 + [0.01] * 2)


def test_planned_steps_of_epochs_cover_the_pictures() -> None:
    assert planned_steps(RunArguments(epochs=2.5, batch=8), 100) == 32
    assert planned_steps(RunArguments(steps=7), 100) == 7


class Watch:
    """A clock that is moved by hand, in the place of the module `time`."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(schedule, "time", watch)
    return watch


def test_clock_with_a_budget_plans_steps_from_the_measured_pace(watch: Watch) -> None:
    clock = Clock(minutes=10, first_step=50)
    for _ in range(20):
        watch.now += 2
        clock.tick()
    assert clock.is_replanning_due(70)
    assert clock.plan_steps(70) == 70 + (600 - 40) // 2
    assert not clock.is_replanning_due(71)
    assert clock.images_per_second(70, 128) == pytest.approx(64)


def test_clock_of_a_stopped_process_keeps_the_pace_but_not_the_time(watch: Watch) -> None:
    clock = Clock(minutes=10, first_step=0)
    for step in range(20):
        watch.now += 300 if step == 10 else 1
        clock.tick()
    # 19 steps took a second each; the long one counts as ten seconds, and 281 seconds of the budget are left.
    assert clock.plan_steps(20) == 20 + int(281 * 20 / 29)


def test_clock_without_a_budget_never_replans(watch: Watch) -> None:
    clock = Clock(minutes=None, first_step=0)
    watch.now += 1e6
    assert not clock.is_replanning_due(10**6)


def test_replanning_moves_the_norm_phase_only_before_it_began(recipe: Recipe, tmp_path: Path, watch: Watch) -> None:
    trainer = make_trainer(recipe, tmp_path)
    clock = Clock(minutes=10, first_step=0)
    watch.now += 6
    clock.tick()
    trainer.step = 2
    trainer._replan(clock)
    assert (trainer.plan.steps, trainer.plan.norm_from) == (200, 120)
    trainer.step, trainer.norm_started_at = 130, 120
    trainer._replan(clock)
    assert trainer.plan.norm_from == 120
