"""Recipes: each one in the repository loads, and what is wrong with a bad one is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

from qcface_train.arguments import LossArguments, Recipe, RecipeError  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[2] / "train/configs"
# The detector has recipes of its own.
RECIPES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "detector")


@pytest.mark.parametrize("name", RECIPES)
def test_from_yaml_of_a_committed_recipe_loads(name: str) -> None:
    recipe = Recipe.from_yaml(CONFIGS / f"{name}.yaml")
    assert recipe.run.steps > 0
    assert isinstance(recipe.loss.ua, float)


@pytest.mark.parametrize("name", RECIPES)
def test_each_value_of_a_committed_recipe_is_explained(name: str) -> None:
    lines = (CONFIGS / f"{name}.yaml").read_text().splitlines()
    assert [line for line in lines if line.startswith("  ") and "  # " not in line] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss: {marign: 0.5}", "recipe.loss: unknown key 'marign'"),
        ("losses: {}", "recipe: unknown key 'losses'"),
        ("run: {lr: fast}", "recipe.run.lr must be float"),
        ("run: {lr: 3e-3}", "write 3.0e-3"),
        ("run: {batch: 12.5}", "recipe.run.batch must be int"),
        ("run: {batch: true}", "recipe.run.batch must be int"),
        ("run: {batch: 0}", "at least 1"),
        ("run: {norm_phase: 1.5}", "norm_phase"),
        ("run: {ema: 1.5}", "ema"),
        ("run: []", "must be a mapping"),
        ("model: {widths: [8, 8]}", "5 widths"),
        ("model: {widths: 8}", "must be a list"),
        ("loss: {la: 100, ua: 1}", "0 < la < ua"),
        ("loss: {teacher: '', identity_weight: 0}", "without a teacher"),
        ("loss: {norm_weight: -1}", "weights"),
        ("loss: {head: triplet}", "loss.head: expected one of softmax"),
        ("loss: {norm: l2}", "loss.norm: expected one of qcface"),
        ("loss: {head: magface}", "needs norm magface"),
        ("loss: {norm: none}", "has no norm phase"),
        ("loss: {anchor_p: 1.0}", "anchor_p"),
        ("loss: {p_scale: 0}", "scale and p_scale"),
        ("loss: {margin: 2.0}", "loss.margin"),
        ("loss: {magface_margins: [0.8, 0.4]}", "two rising numbers"),
        ("loss: {easy_margin: 1}", "recipe.loss.easy_margin must be bool"),
        ("model: {name: vgg}", "model.name: expected one of edge"),
        ("model: {name: iresnet50, neck: 64}", "model.neck is of the edge network"),
        ("model: {dropout: 0.4}", "0 without an IResNet"),
        ("data: {damage_share: [0.5, 1.5]}", "damage_share"),
        ("data: {held_out: -1}", "held_out"),
        ("data: {read: tape}", "cache or stream"),
        ("data: {window: 3}", "for data.read: stream"),
        ("data: {smallest_class: 0}", "smallest_class"),
        ("data: {augmentation: gpu}", "picture or batch"),
        ("data: {resident: true}", "needs data.augmentation: batch"),
        ("data: {read: stream}\nloss: {teacher: edgeface-xs}", "stored targets need"),
        ("loss: {teacher_sees: mirror}", "clean or augmented"),
        ("loss: {teacher_sees: augmented}", "name one in loss.teacher"),
        ("run: {epochs: 2, steps: 7}", "either epochs or steps"),
        ("run: {accumulate: 3}", "3 equal parts"),
        ("run: {optimiser: lion}", "adamw, sgd"),
        ("run: {precision: int8}", "fp32, bf16, fp16"),
        ("run: {device: tpu}", "auto, cpu, cuda"),
        ("run: {schedule: step}", "which needs it"),
        ("run: {drops: [0.5]}", "belongs to schedule: step"),
        ("run: {schedule: step, drops: [0.8, 0.5]}", "rising shares"),
        ("run: {schedule: step, drops: [0.5], drop: 2.0}", "run.drop"),
        ("run: {clip: 0}", "lr and clip"),
        ("run: {lr: .nan}", "recipe.run.lr must be a finite number"),
        ("loss: {ua: .inf}", "recipe.loss.ua must be a finite number"),
        ("run: {weight_decay: -0.1}", "weight_decay"),
        ("run: {momentum: 1.0}", "momentum"),
        ("data: {seed: -1}", "data.seed"),
        ("data: {mixed_share: 1.0}", "data.mixed_share must be"),
        ("data: {mixed_share: 0.2}", "data.mixed_share is for distillation"),
        ("data: {blends: -1}", "data.blends must be at least 0"),
        ("data: {blends: 10}", "data.blends are for distillation"),
        ("{data: {blends: 9, read: stream}, loss: {teacher: a, teacher_sees: augmented}}", "need data.read: cache"),
        ("data: {drawn: 5}", "either shards or drawn"),
        ("data: {drawn: 5, shards: []}\nloss: {teacher: edgeface-xs}", "drawn faces have no teacher"),
        ("run: {lr: [", "cannot be read"),
        ("run: {lr: 0.1, batch: 8, lr: 0.2}", "says lr twice"),
        ("run: {}\nloss: {}\nrun: {}", "says run twice"),
    ],
)
def test_from_yaml_of_a_bad_recipe_raises(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message.replace("[", r"\[")):
        Recipe.from_yaml(path)


def test_from_yaml_of_an_absent_file_raises(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.from_yaml(tmp_path / "absent.yaml")


def test_from_yaml_of_a_file_that_is_no_text_raises(tmp_path: Path) -> None:
    (tmp_path / "weights.yaml").write_bytes(b"\xff\xfe\x80\x81")
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.from_yaml(tmp_path / "weights.yaml")


def test_digest_changes_with_any_value(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("run: {lr: 0.5}")
    assert Recipe.from_yaml(path).digest() != Recipe().digest()
    path.write_text("data: {mixed_share: 0.5}\nloss: {teacher: edgeface-xs}")
    assert Recipe.from_yaml(path).digest() != Recipe(loss=LossArguments(teacher="edgeface-xs")).digest()


def test_digest_of_a_recipe_without_later_keys_is_that_of_its_old_text() -> None:
    assert "mixed_share" not in repr(Recipe())
    assert Recipe().digest() == hashlib.sha256(repr(Recipe()).encode()).hexdigest()[:16]
