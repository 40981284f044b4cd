"""The loop on drawn faces: it learns, it stops with a reason, and a killed run resumes to the same loss curve."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train import loop  # noqa: E402
from qcface_train.arguments import Recipe  # noqa: E402
from qcface_train.augmentation import DAMAGES  # noqa: E402
from qcface_train.checkpoint import CheckpointError  # noqa: E402
from qcface_train.data import split_identities  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402
from qcface_train.loop import DivergedError, Plan, Trainer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
STEPS = 14


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The tiny recipe, made tinier."""
    tiny = Recipe.from_yaml(ROOT / "train/configs/tiny.yaml")
    return dataclasses.replace(
        tiny,
        model=dataclasses.replace(tiny.model, widths=(4, 4, 4, 8, 8), neck=8),
        data=dataclasses.replace(tiny.data, drawn=6, held_out=0),
        run=dataclasses.replace(tiny.run, steps=STEPS, batch=8, threads=1, warmup=2),
    )


def make_trainer(recipe: Recipe, folder: Path) -> Trainer:
    faces = draw_faces(recipe.data.drawn, 16, recipe.data.seed)
    split = split_identities(faces.labels, recipe.data.held_out, recipe.data.seed)
    return Trainer(recipe, faces, split, None, folder)


def curve(folder: Path) -> dict[int, float]:
    """Return the loss of each step; after a resume the later line of a step counts."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def test_fit_in_two_phases_logs_each_step_and_ends(recipe: Recipe, tmp_path: Path) -> None:
    trainer = make_trainer(recipe, tmp_path)
    trainer.fit(shown=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    first_norm_step = Plan.of(STEPS, recipe.run.norm_phase).norm_from
    assert ["qc" in line for line in lines] == [step >= first_norm_step for step in range(STEPS)]
    assert {"id", "p", "norm", "norm_min", "norm_max", "lr"} <= set(lines[0])


def test_norm_phase_begins_half_way_between_the_limits_and_keeps_directions(recipe: Recipe, tmp_path: Path) -> None:
    trainer = make_trainer(recipe, tmp_path)
    batch = trainer.make_batch(0)
    with torch.inference_mode():
        before = trainer.model.eval()(batch.images)
    trainer._start_norm_phase(batch)
    with torch.inference_mode():
        after = trainer.model.eval()(batch.images)
    assert float(after.norm(dim=1).mean()) == pytest.approx(50.5, rel=1e-4)
    assert float(torch.cosine_similarity(before, after, dim=1).min()) > 1 - 1e-5


def test_train_step_with_a_loss_that_is_not_finite_raises_and_keeps_the_weights(recipe: Recipe, tmp_path: Path) -> None:
    trainer = make_trainer(recipe, tmp_path)
    batch = trainer.make_batch(0)
    before = trainer.model.project.weight.detach().clone()
    bad = dataclasses.replace(batch, images=batch.images * float("nan"))
    with pytest.raises(DivergedError, match="not finite at step 0.*lower run.lr"):
        trainer.train_step(bad)
    assert torch.equal(trainer.model.project.weight, before)


def test_start_from_the_weights_of_a_run_gives_its_embeddings(recipe: Recipe, tmp_path: Path) -> None:
    first = make_trainer(recipe, tmp_path / "first")
    first.fit(shown=False)
    second = make_trainer(recipe, tmp_path / "second")
    images = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (4, 3, 112, 112)).astype(np.float32))
    wanted = first.average(images)
    assert not torch.allclose(second.average(images), wanted, rtol=0.1)
    second.start_from(tmp_path / "first" / "weights.pt")
    # the matrices were kept in float16
    torch.testing.assert_close(second.average(images), wanted, rtol=0.02, atol=0.02 * float(wanted.abs().max()))
    assert second.step == 0


def test_start_from_something_else_raises(recipe: Recipe, tmp_path: Path) -> None:
    trainer = make_trainer(recipe, tmp_path)
    trainer.fit(shown=False)
    larger = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, neck=16))
    with pytest.raises(CheckpointError, match="another architecture"):
        make_trainer(larger, tmp_path / "larger").start_from(tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match="no weights"):
        trainer.start_from(tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        trainer.start_from(tmp_path / "nowhere.pt")


def test_resume_of_another_architecture_raises(recipe: Recipe, tmp_path: Path) -> None:
    make_trainer(recipe, tmp_path).save()
    other = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, neck=12))
    with pytest.raises(CheckpointError, match="another architecture"):
        make_trainer(other, tmp_path).resume()
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        make_trainer(recipe, tmp_path / "elsewhere").resume()


def test_control_file_moves_the_end_of_a_running_training(recipe: Recipe, tmp_path: Path) -> None:
    trainer = make_trainer(recipe, tmp_path)
    (tmp_path / "control.json").write_text('{"steps": 5, "norm_from": 3}')
    trainer.fit(shown=False)
    assert trainer.step == 5
    assert trainer.norm_started_at == 3
    (tmp_path / "control.json").write_text("five")
    os.utime(tmp_path / "control.json", (1, 1))
    trainer.read_control()
    assert trainer.plan.steps == 5


class Watch:
    """A clock that is moved by hand, in the place of the module `time`."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(loop, "time", watch)
    return watch


def test_clock_with_a_budget_plans_steps_from_the_measured_pace(watch: Watch) -> None:
    clock = loop._Clock(minutes=10, first_step=50)
    for _ in range(20):
        watch.now += 2
        clock.tick()
    assert clock.is_replanning_due(70)
    assert clock.plan_steps(70) == 70 + (600 - 40) // 2
    assert not clock.is_replanning_due(71)
    assert clock.images_per_second(70, 128) == pytest.approx(64)


def test_clock_of_a_stopped_process_keeps_the_pace_but_not_the_time(watch: Watch) -> None:
    clock = loop._Clock(minutes=10, first_step=0)
    for step in range(20):
        watch.now += 300 if step == 10 else 1
        clock.tick()
    # 19 steps took a second each; the long one counts as ten seconds, and 281 seconds of the budget are left.
    assert clock.plan_steps(20) == 20 + int(281 * 20 / 29)


def test_clock_without_a_budget_never_replans(watch: Watch) -> None:
    clock = loop._Clock(minutes=None, first_step=0)
    watch.now += 1e6
    assert not clock.is_replanning_due(10**6)


def test_replanning_moves_the_norm_phase_only_before_it_began(recipe: Recipe, tmp_path: Path, watch: Watch) -> None:
    trainer = make_trainer(recipe, tmp_path)
    clock = loop._Clock(minutes=10, first_step=0)
    watch.now += 6
    clock.tick()
    trainer.step = 2
    trainer._replan(clock)
    assert (trainer.plan.steps, trainer.plan.norm_from) == (200, 120)
    trainer.step, trainer.norm_started_at = 130, 120
    trainer._replan(clock)
    assert trainer.plan.norm_from == 120


def run_script(recipe_path: Path, folder: Path, *extra: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "sdk"), str(ROOT / "train")])}
    command = [sys.executable, str(ROOT / "train/train.py"), str(recipe_path), "--out", str(folder), *extra]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for_steps(folder: Path, count: int) -> None:
    """Return when the run in `folder` has logged so many steps, or after five minutes."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if (folder / "log.jsonl").is_file() and (folder / "log.jsonl").read_text().count("\n") >= count:
            return
        time.sleep(0.005)


def test_killed_run_resumes_to_the_loss_curve_of_an_undisturbed_one(recipe: Recipe, tmp_path: Path) -> None:
    content = dataclasses.asdict(recipe)
    content["run"]["checkpoint_minutes"] = 0.0
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    make_trainer(recipe, tmp_path / "whole").fit(shown=False)
    killed = run_script(path, tmp_path / "killed")
    wait_for_steps(tmp_path / "killed", 4)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    reached = max(curve(tmp_path / "killed"))
    assert 4 <= reached < STEPS, "the run ended before it was killed; it needs more steps to be a test"
    trainer = make_trainer(Recipe.from_yaml(path), tmp_path / "killed")
    trainer.resume()
    assert trainer.step > 0
    trainer.fit(shown=False)
    assert curve(tmp_path / "killed") == pytest.approx(curve(tmp_path / "whole"), rel=1e-6)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_interrupted_script_writes_a_checkpoint_and_says_how_to_go_on(
    recipe: Recipe, tmp_path: Path, stop: signal.Signals
) -> None:
    content = json.loads(json.dumps(dataclasses.asdict(recipe)))
    content["run"]["steps"] = 100_000
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    process = run_script(tmp_path / "recipe.yaml", tmp_path / "out")
    wait_for_steps(tmp_path / "out", 2)
    process.send_signal(stop)
    output, _ = process.communicate()
    assert process.returncode == 130
    assert b"continue with --resume" in output
    trainer = make_trainer(Recipe.from_yaml(tmp_path / "recipe.yaml"), tmp_path / "out")
    trainer.resume()
    assert trainer.step >= 2


def test_script_with_a_bad_recipe_says_so(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("run: {speed: 9}")
    process = run_script(tmp_path / "bad.yaml", tmp_path / "out")
    output, _ = process.communicate()
    assert process.returncode == 1
    assert b"error: recipe.run: unknown key 'speed'" in output


def test_tiny_recipe_learns_and_its_magnitude_falls_with_damage(tmp_path: Path) -> None:
    recipe = Recipe.from_yaml(ROOT / "train/configs/tiny.yaml")
    trainer = make_trainer(recipe, tmp_path)
    trainer.fit(shown=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    identity = [line["id"] for line in lines if "id" in line]
    assert np.mean(identity[-10:]) < 0.6 * np.mean(identity[:10])
    quality = [line["qc"] for line in lines if "qc" in line]
    assert len(quality) == round(recipe.run.steps * recipe.run.norm_phase)
    validation = next(line["validation"] for line in lines if "validation" in line)
    assert validation["accuracy"] > 0.6
    assert set(validation["ladder"]) == set(DAMAGES)
    assert np.mean(list(validation["ladder"].values())) < 0
