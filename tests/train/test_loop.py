"""The loop on drawn faces: it learns, it stops with a reason, and a killed run resumes to the same loss curve."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train.arguments import Recipe  # noqa: E402
from qcface_train.augmentation import DAMAGES  # noqa: E402
from qcface_train.distributed import World  # noqa: E402
from qcface_train.loop import DivergedError  # noqa: E402
from qcface_train.schedule import Plan  # noqa: E402
from scripts import load_script  # noqa: E402
from tiny_runs import (  # noqa: E402
    ROOT,
    STEPS,
    curve,
    make_trainer,
    run_script,
    tiny_recipe,
    wait_for_steps,
    write_recipe,
)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return tiny_recipe()


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


def test_train_step_takes_any_seed_of_thirty_two_bits(tmp_path: Path) -> None:
    """A seed made by multiplication is too long for PyTorch from about a million on; dates are usual seeds."""
    trainer = make_trainer(tiny_recipe(data={"seed": 20261128}), tmp_path)
    assert np.isfinite(trainer.train_step(trainer.make_batch(0))["loss"])


def test_gradients_that_no_scale_makes_finite_end_a_run_in_fp16(tmp_path: Path) -> None:
    trainer = make_trainer(tiny_recipe(run={"precision": "fp16"}), tmp_path)
    figures = {"loss": 1.0, "gradient": float("inf"), "head_gradient": 1.0}
    trainer._check(figures)
    trainer.precision.scale = 1.0
    with pytest.raises(DivergedError):
        trainer._check(figures)


class ForgetfulWorld(World):
    """Two processes of which this one is well; the maximum loses a NaN, as that of a comparison does."""

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return values + torch.ones_like(values)

    def max(self, values: torch.Tensor) -> torch.Tensor:
        return torch.where(values > 0.5, values, 0.5)


def test_gradient_of_class_weights_that_is_not_a_number_in_one_process_is_news_to_all(
    recipe: Recipe, tmp_path: Path
) -> None:
    trainer = make_trainer(recipe, tmp_path)
    trainer.world = ForgetfulWorld(0, 2)
    agreed = trainer._agree({"loss": torch.tensor(1.0), "head_gradient": torch.tensor(float("nan"))})
    assert not np.isfinite(agreed["head_gradient"])
    with pytest.raises(DivergedError):
        trainer._check(agreed | {"gradient": 1.0})


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


def test_control_file_lengthens_a_run_that_is_at_its_end(tmp_path: Path) -> None:
    recipe = tiny_recipe(run={"steps": 2, "norm_phase": 0.0})
    make_trainer(recipe, tmp_path).fit(shown=False)
    (tmp_path / "control.json").write_text('{"steps": 4, "norm_from": 3}')
    trainer = make_trainer(recipe, tmp_path)
    trainer.resume()
    trainer.fit(shown=False)
    assert (trainer.step, trainer.norm_started_at) == (4, 3)
    assert sorted(curve(tmp_path)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("norm", "wish"),
    [("none", {"steps": 4}), ("none", {"steps": 4, "norm_from": 3}), ("qcface", {"steps": 4})],
    ids=["no norm term", "no norm term, one wished", "norm term, no phase"],
)
def test_lengthened_run_has_no_norm_phase_that_it_was_not_to_have(
    tmp_path: Path, norm: str, wish: dict[str, int]
) -> None:
    trainer = make_trainer(tiny_recipe(run={"steps": 2, "norm_phase": 0.0}, loss={"norm": norm}), tmp_path)
    (tmp_path / "control.json").write_text(json.dumps(wish))
    trainer.fit(shown=False)
    assert (trainer.step, trainer.norm_started_at) == (4, -1)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert not any("qc" in line for line in lines)


def test_time_budget_lengthens_a_run_that_is_at_its_end(tmp_path: Path) -> None:
    recipe = tiny_recipe(run={"steps": 2, "norm_phase": 0.0})
    make_trainer(recipe, tmp_path).fit(shown=False)
    trainer = make_trainer(recipe, tmp_path)
    trainer.resume()
    trainer.fit(minutes=0.0, shown=False)
    # No time is left after the steps that the pace is measured with.
    assert (trainer.step, trainer.norm_started_at) == (22, -1)


def test_killed_run_resumes_to_the_loss_curve_of_an_undisturbed_one(recipe: Recipe, tmp_path: Path) -> None:
    path = write_recipe(tiny_recipe(run={"checkpoint_minutes": 0.0}), tmp_path / "recipe.yaml")
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
    write_recipe(tiny_recipe(run={"steps": 100_000}), tmp_path / "recipe.yaml")
    process = run_script(tmp_path / "recipe.yaml", tmp_path / "out")
    wait_for_steps(tmp_path / "out", 2)
    process.send_signal(stop)
    output, _ = process.communicate()
    assert process.returncode == 130
    assert b"continue with --resume" in output
    trainer = make_trainer(Recipe.from_yaml(tmp_path / "recipe.yaml"), tmp_path / "out")
    trainer.resume()
    assert trainer.step >= 2


@pytest.mark.parametrize("begin", [(), ("--init", "weights.pt")], ids=["afresh", "init"])
def test_script_leaves_the_checkpoint_of_another_run_alone(
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    begin: tuple[str, ...],
) -> None:
    make_trainer(recipe, tmp_path / "out").save()
    before = (tmp_path / "out/checkpoint.pt").read_bytes()
    path = write_recipe(recipe, tmp_path / "recipe.yaml")
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert load_script(ROOT, "train", "train").main([str(path), "--out", str(tmp_path / "out"), *begin]) == 1
    assert "give --resume to continue it, or another --out" in capsys.readouterr().err
    assert [item.name for item in (tmp_path / "out").iterdir()] == ["checkpoint.pt"]
    assert (tmp_path / "out/checkpoint.pt").read_bytes() == before


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


def test_full_disk_at_a_checkpoint_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    original = torch.save
    attempts: list[int] = []

    def save(content: object, file: object) -> None:
        attempts.append(1)
        if len(attempts) == 2:
            raise OSError(28, "No space left on device")
        original(content, file)

    monkeypatch.setattr(torch, "save", save)
    trainer = make_trainer(tiny_recipe(run={"steps": 4, "checkpoint_minutes": 0.0}), tmp_path)
    trainer.fit(shown=False)
    assert trainer.step == 4
    assert "No space left on device" in caplog.text
    assert "training goes on" in caplog.text
    resumed = make_trainer(tiny_recipe(run={"steps": 4}), tmp_path)
    resumed.resume()
    assert resumed.step == 4
