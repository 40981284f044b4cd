"""The ablation: fair arms, results that are kept, the table; trained for real on drawn faces."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
yaml = pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_sdk.evaluation import KINDS, LEVELS  # noqa: E402
from qcface_train.ablation.arms import ARMS, DEFAULT_ARMS, arm_recipe  # noqa: E402
from qcface_train.ablation.features import Features, open_features  # noqa: E402
from qcface_train.ablation.figures import COLUMNS, markdown_table, summarise  # noqa: E402
from qcface_train.ablation.frozen import FrozenTrainer  # noqa: E402
from qcface_train.ablation.runs import FrozenRun, WholeRun, run_arm  # noqa: E402
from qcface_train.arguments import Recipe, RecipeError  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402
from qcface_train.evaluation.lfw import VerificationSet  # noqa: E402
from tiny_models import tiny_recognizer  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def base() -> Recipe:
    recipe = Recipe.from_yaml(ROOT / "train/configs/ablation_frozen.yaml")
    run = dataclasses.replace(recipe.run, batch=32, steps=60, warmup=5)
    return dataclasses.replace(recipe, run=run)


@pytest.fixture(scope="module")
def test_set() -> VerificationSet:
    faces = draw_faces(6, 4, 99)
    order = np.argsort(faces.labels, kind="stable")
    crops = np.ascontiguousarray(np.asarray(faces.images)[order][..., ::-1])
    subjects = faces.labels[order].astype(str)
    pairs = np.array([[4 * p, 4 * p + 1] for p in range(6)] + [[4 * p, (4 * p + 4) % 24] for p in range(6)])
    return VerificationSet(tuple(map(str, range(24))), crops, subjects, pairs, np.arange(12) < 6, 2)


@pytest.fixture(scope="module")
def features() -> Features:
    """Points around one centre for each of ten people; on each rung of a ladder they go nearer to the middle."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(10, 24))
    classes = np.repeat(np.arange(10), 30)
    clarity = rng.uniform(0.1, 1, (300, 1))
    train = clarity * centres[classes] + 0.4 * rng.normal(size=(300, 24))
    rungs = np.linspace(1, 0.1, LEVELS + 1)[None, None, :, None] * centres[None, :4, None, :]
    ladder = np.broadcast_to(rungs, (len(KINDS), 4, LEVELS + 1, 24))
    test = centres[np.repeat(np.arange(6), 4)] + 0.3 * rng.normal(size=(24, 24))
    return Features(train.astype("f4"), classes, test.astype("f4"), np.ascontiguousarray(ladder, "f4"))


def test_arms_differ_from_each_other_in_the_loss_only(base: Recipe) -> None:
    recipes = {arm: arm_recipe(base, arm, 2) for arm in ARMS}
    assert {recipe.run.steps for recipe in recipes.values()} == {base.run.steps}
    assert len({repr(recipe.data) for recipe in recipes.values()}) == 1
    assert len({repr(recipe.loss) for recipe in recipes.values()}) == len(ARMS)
    assert recipes["MagFace"].loss.norm_weight == 35 * base.loss.identity_weight
    half = dataclasses.replace(base, loss=dataclasses.replace(base.loss, identity_weight=0.5))
    assert arm_recipe(half, "QCFace-Arc lambda10", 1).loss.norm_weight == 5.0
    assert recipes["QCFace-Arc without p"].run.norm_phase == base.run.norm_phase
    assert [arm for arm in DEFAULT_ARMS if recipes[arm].run.norm_phase > 0] == ["QCFace-Arc", "QCFace-Cur", "QCFace-MV"]
    with pytest.raises(RecipeError, match="unknown arm 'SphereFace'"):
        arm_recipe(base, "SphereFace", 1)


def test_frozen_training_learns_the_classes_and_qcface_gives_the_length_its_meaning(
    base: Recipe, features: Features, test_set: VerificationSet
) -> None:
    trainer = FrozenTrainer(arm_recipe(base, "QCFace-Arc", 1), features)
    trainer.fit()
    figures = trainer.measure(test_set)
    with torch.inference_mode():
        cosines = trainer.head(torch.from_numpy(trainer.embed(features.train)))
    assert (cosines.argmax(dim=1).numpy() == features.classes).mean() > 0.9
    assert figures["ladder"] < -0.8
    assert figures["samples"] == 60 * 32
    assert set(COLUMNS) <= set(figures)


def test_equal_seeds_train_equally_and_other_seeds_do_not(base: Recipe, features: Features) -> None:
    trained = []
    for seed in (1, 1, 2):
        trainer = FrozenTrainer(arm_recipe(base, "AdaFace", seed), features)
        trainer.fit()
        trained.append(trainer.embed(features.test))
    assert np.array_equal(trained[0], trained[1])
    assert not np.allclose(trained[0], trained[2])


def test_finished_run_is_read_and_one_of_another_recipe_refused(
    base: Recipe, features: Features, test_set: VerificationSet, tmp_path: Path
) -> None:
    run = FrozenRun(features, test_set)
    first = run_arm(base, "MagFace", 1, tmp_path, run, "x")

    def must_not_run(recipe: Recipe, folder: Path) -> dict[str, object]:
        raise AssertionError("a finished run was repeated")

    assert run_arm(base, "MagFace", 1, tmp_path, must_not_run, "x") == json.loads(json.dumps(first))
    longer = dataclasses.replace(base, run=dataclasses.replace(base.run, steps=61))
    with pytest.raises(RecipeError, match="of another recipe or budget"):
        run_arm(longer, "MagFace", 1, tmp_path, must_not_run, "x")


def test_features_of_a_stopped_computation_go_on_and_stay_the_same(
    base: Recipe, test_set: VerificationSet, tmp_path: Path
) -> None:
    network = tmp_path / "network.onnx"
    network.write_bytes(tiny_recognizer())
    faces = draw_faces(5, 20, 1)
    whole = open_features(network, base, faces, test_set, tmp_path / "a", pictures=80, ladder=2)
    assert (len(whole.train), len(whole.test), whole.ladder.shape[:3]) == (80, 24, (len(KINDS), 2, LEVELS + 1))
    open_features(network, base, faces, test_set, tmp_path / "b", pictures=80, ladder=2)
    folder = next((tmp_path / "b").iterdir())
    for path in folder.glob("*.npy"):
        path.unlink()
    next(folder.glob("train-*/64.npy")).unlink()
    again = open_features(network, base, faces, test_set, tmp_path / "b", pictures=80, ladder=2)
    for name in ("train", "classes", "test", "ladder"):
        assert np.array_equal(getattr(whole, name), getattr(again, name))


def test_whole_network_is_trained_from_crops(test_set: VerificationSet, tmp_path: Path) -> None:
    tiny = Recipe.from_yaml(ROOT / "train/configs/tiny.yaml")
    tiny = dataclasses.replace(
        tiny,
        model=dataclasses.replace(tiny.model, widths=(4, 4, 4, 8, 8), neck=8),
        data=dataclasses.replace(tiny.data, held_out=0),
        run=dataclasses.replace(tiny.run, steps=6, batch=8),
    )
    run = WholeRun(draw_faces(6, 16, 1), None, test_set, tmp_path / "warm", ladder_faces=2)
    figures = run_arm(tiny, "QCFace-MV", 3, tmp_path, run, "whole")
    assert figures["samples"] == 48
    assert (tmp_path / "QCFace-MV/seed-3/weights.pt").is_file()


def test_table_holds_mean_and_spread_over_the_seeds() -> None:
    results = [
        {"arm": arm, "seed": seed, "samples": 10, **dict.fromkeys(COLUMNS, 1.0 + seed)}
        for seed in (1, 2, 3)
        for arm in ("ArcFace", "MagFace")
    ]
    arms = summarise(results)
    assert arms["ArcFace"]["lfw"] == {"mean": 3.0, "lowest": 2.0, "highest": 4.0}
    assert arms["MagFace"]["seeds"] == [1, 2, 3]
    lines = markdown_table(arms).splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| ArcFace | 3.00 (2.00 to 4.00) |")
    assert {line.count("|") for line in lines} == {len(COLUMNS) + 2}
