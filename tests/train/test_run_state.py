"""What a run takes from a checkpoint: all of its own, the weights of another, nothing of a foreign one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train.arguments import Recipe  # noqa: E402
from qcface_train.checkpoint import CheckpointError  # noqa: E402
from qcface_train.optimiser import HEAD_GROUP  # noqa: E402
from tiny_runs import curve, make_trainer, tiny_recipe  # noqa: E402


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return tiny_recipe()


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
    torch.save({"step": 3}, tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match="no weights"):
        trainer.start_from(tmp_path / "foreign.pt")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        trainer.start_from(tmp_path / "nowhere.pt")


def test_resume_of_another_architecture_raises(recipe: Recipe, tmp_path: Path) -> None:
    make_trainer(recipe, tmp_path).save()
    other = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, neck=12))
    with pytest.raises(CheckpointError, match="another architecture"):
        make_trainer(other, tmp_path).resume()
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        make_trainer(recipe, tmp_path / "elsewhere").resume()


@pytest.mark.parametrize(
    "run",
    [
        {"optimiser": "sgd", "lr": 0.05, "precision": "fp32"},
        {"precision": "fp16", "accumulate": 2},
    ],
    ids=["sgd", "fp16"],
)
def test_resume_gives_the_curve_of_an_undisturbed_run(tmp_path: Path, run: dict[str, object]) -> None:
    recipe = tiny_recipe(run=run | {"steps": 6}, loss={"head": "curricular"})
    make_trainer(recipe, tmp_path / "whole").fit(shown=False)
    first = make_trainer(recipe, tmp_path / "parts")
    (tmp_path / "parts").mkdir()
    for step in range(3):
        first.train_step(first.make_batch(step))
    first.save()
    second = make_trainer(recipe, tmp_path / "parts")
    second.resume()
    second.fit(shown=False)
    whole = curve(tmp_path / "whole")
    assert curve(tmp_path / "parts") == pytest.approx({step: whole[step] for step in (4, 5, 6)}, rel=1e-6)


def test_second_run_that_is_a_norm_phase_only_begins_with_backbone_and_classes(tmp_path: Path) -> None:
    first = make_trainer(tiny_recipe(run={"norm_phase": 0.0, "steps": 4}), tmp_path / "identity")
    first.fit(shown=False)
    second = make_trainer(tiny_recipe(run={"norm_phase": 1.0, "steps": 2}), tmp_path / "norm")
    second.start_from(tmp_path / "identity/checkpoint.pt")
    assert torch.equal(second.classifier.head.weight, first.classifier.head.weight)
    assert torch.equal(second.model.project.weight, first.average.project.weight)
    second.fit(shown=False)
    lines = [json.loads(line) for line in (tmp_path / "norm/log.jsonl").read_text().splitlines()]
    assert all("qc" in line for line in lines if "loss" in line)
    assert second.norm_started_at == 0


@pytest.mark.parametrize("head", ["curricular", "adaface"])
def test_start_from_a_checkpoint_goes_on_with_the_figures_of_the_same_margin(tmp_path: Path, head: str) -> None:
    loss = {"head": head, "norm": "qcface" if head == "curricular" else "none"}
    first = make_trainer(tiny_recipe(loss=loss, run={"norm_phase": 0.0}), tmp_path / "first")
    first.train_step(first.make_batch(0))
    first.save()
    second = make_trainer(tiny_recipe(loss=loss, run={"norm_phase": 0.0}), tmp_path / "second")
    fresh = dict(make_trainer(tiny_recipe(loss=loss, run={"norm_phase": 0.0}), tmp_path).classifier.margin.state_dict())
    second.start_from(tmp_path / "first/checkpoint.pt")
    found = second.classifier.margin.state_dict()
    assert found == first.classifier.margin.state_dict() != fresh
    # Another head, or other classes, has no use for them.
    other = make_trainer(tiny_recipe(loss={"head": "arc"}), tmp_path / "other")
    other.start_from(tmp_path / "first/checkpoint.pt")
    fewer = make_trainer(tiny_recipe(loss=loss, data={"drawn": 5}, run={"norm_phase": 0.0}), tmp_path / "fewer")
    fewer.start_from(tmp_path / "first/checkpoint.pt")
    assert fewer.classifier.margin.state_dict() == fresh


def test_start_from_a_checkpoint_of_other_classes_keeps_ones_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_trainer(tiny_recipe(data={"drawn": 5}), tmp_path / "first").save()
    second = make_trainer(tiny_recipe(), tmp_path / "second")
    before = second.classifier.head.weight.detach().clone()
    second.start_from(tmp_path / "first/checkpoint.pt")
    assert torch.equal(second.classifier.head.weight, before)
    assert "its class weights are not used" in caplog.text


def test_resume_of_other_classes_raises(tmp_path: Path) -> None:
    make_trainer(tiny_recipe(data={"drawn": 5}), tmp_path).save()
    with pytest.raises(CheckpointError, match="set of classes"):
        make_trainer(tiny_recipe(), tmp_path).resume()


@pytest.mark.parametrize("named", [True, False], ids=["by name", "from before names were kept"])
@pytest.mark.parametrize(("first", "second"), [("adamw", "sgd"), ("sgd", "adamw")])
def test_resume_with_another_optimiser_raises(tmp_path: Path, first: str, second: str, named: bool) -> None:
    make_trainer(tiny_recipe(run={"optimiser": first}), tmp_path).save()
    path = tmp_path / "checkpoint.pt"
    content = torch.load(path, weights_only=True)
    if not named:
        del content["optimiser_name"]
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=f"made with run.optimiser {first}, the recipe says {second}"):
        make_trainer(tiny_recipe(run={"optimiser": second}), tmp_path).resume()
    make_trainer(tiny_recipe(run={"optimiser": first}), tmp_path).resume()


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_resume_takes_decay_and_momentum_of_the_recipe(tmp_path: Path, optimiser: str) -> None:
    run = {"optimiser": optimiser, "lr": 0.01}
    first = make_trainer(tiny_recipe(run=run), tmp_path)
    first.train_step(first.make_batch(0))
    first.save()
    recipe = tiny_recipe(run=run | {"weight_decay": 0.25, "head_decay": 0.5, "momentum": 0.125})
    resumed, fresh = make_trainer(recipe, tmp_path), make_trainer(recipe, tmp_path)
    resumed.resume()
    groups = resumed.optimiser.param_groups
    assert [group["weight_decay"] for group in groups] == [g["weight_decay"] for g in fresh.optimiser.param_groups]
    assert groups[0]["weight_decay"] == 0.25
    assert {group.get("momentum") for group in groups} == {0.125 if optimiser == "sgd" else None}
    assert resumed.optimiser.state[resumed.classifier.head.weight].keys()


def test_resume_of_sgd_from_before_its_factor_for_class_weights_decays_them_as_before(tmp_path: Path) -> None:
    recipe = tiny_recipe(run={"optimiser": "sgd", "lr": 0.01, "head_decay": 0.5})
    make_trainer(recipe, tmp_path).save()
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    group = content["optimiser"]["param_groups"][HEAD_GROUP]
    del group["rate_factor"]
    group["weight_decay"] = 0.5
    torch.save(content, tmp_path / "checkpoint.pt")
    resumed = make_trainer(recipe, tmp_path)
    resumed.resume()
    assert resumed.optimiser.param_groups[HEAD_GROUP]["weight_decay"] == pytest.approx(0.5)
