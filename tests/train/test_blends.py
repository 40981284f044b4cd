"""Blends: new faces made of two, the same each time, of training pictures only, with the teacher's own answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train import opening, teacher  # noqa: E402
from qcface_train.blends import BlendPlan, open_blend_targets, plan_blends, with_blends  # noqa: E402
from qcface_train.data import NO_CLASS, BatchMaker, split_identities  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402
from qcface_train.faces import UNLABELLED, DataError, FaceSet  # noqa: E402
from tiny_runs import tiny_recipe  # noqa: E402


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return draw_faces(8, 6, 1)


def one(share: float, border: tuple[float, float, float]) -> BlendPlan:
    """A plan of one blend, of pictures 3 and 11."""
    return BlendPlan(np.array([3]), np.array([11]), np.array([share], np.float32), np.array([border], np.float32))


def test_plan_is_drawn_of_the_given_rows_and_is_the_same_each_time() -> None:
    rows = np.arange(10, 500, 7)
    plan = plan_blends(rows, 2000, 3)
    assert len(plan) == 2000
    assert set(plan.own.tolist()) | set(plan.other.tolist()) <= set(rows.tolist())
    assert (plan.own != plan.other).all()
    shine = np.isfinite(plan.shares)
    assert shine.mean() == pytest.approx(0.35, abs=0.05)
    assert ((plan.shares[shine] >= 0.5) & (plan.shares[shine] <= 0.8)).all()
    assert plan.digest() == plan_blends(rows, 2000, 3).digest() != plan_blends(rows, 2000, 4).digest()


def test_one_picture_cannot_be_blended() -> None:
    with pytest.raises(DataError, match=r"two training pictures or more, got 1"):
        plan_blends(np.array([5]), 3, 0)


def test_a_ghost_is_the_weighted_mean(faces: FaceSet) -> None:
    found = with_blends(faces, one(0.75, (0, 0, 1))).images[len(faces)]
    wanted = 0.75 * np.asarray(faces.images[3], np.float64) + 0.25 * faces.images[11]
    assert np.abs(found - wanted).max() <= 0.501


def test_a_cut_holds_one_face_on_each_side_of_its_border(faces: FaceSet) -> None:
    found = with_blends(faces, one(np.nan, (0.0, 10.0, 3.0))).images[
        len(faces)
    ]  # angle 0: border 10 px right of centre
    np.testing.assert_array_equal(found[:, 85:], faces.images[3][:, 85:])
    np.testing.assert_array_equal(found[:, :45], faces.images[11][:, :45])
    upright = with_blends(faces, one(np.nan, (np.pi / 2, 0.0, 3.0))).images[len(faces)]
    np.testing.assert_array_equal(upright[75:], faces.images[3][75:])
    np.testing.assert_array_equal(upright[:35], faces.images[11][:35])


def test_blends_are_further_rows_without_a_label(faces: FaceSet) -> None:
    plan = plan_blends(np.arange(len(faces)), 20, 1)
    more = with_blends(faces, plan)
    assert len(more) == len(faces) + 20
    assert (more.labels[len(faces) :] == UNLABELLED).all()
    np.testing.assert_array_equal(more.images[: len(faces)], faces.images[:])
    picked = more.images[np.array([len(faces) + 4, 2])]
    np.testing.assert_array_equal(picked, [more.images[len(faces) + 4], faces.images[2]])
    targets = np.eye(len(more), 512, dtype=np.float32)
    batch = BatchMaker(more, split_identities(more.labels, 1, 1), targets, 32, 5).make(0, 0.5, 1.0)
    blended = batch.targets.argmax(dim=1) >= len(faces)
    assert blended.any()
    assert (batch.classes[blended] == NO_CLASS).all()


class Mean:
    """A teacher that says the mean colour of each picture."""

    size = 3
    asked = 0

    def __init__(self, name: str, folder: Path) -> None:
        assert (name, folder) == ("edgeface-xs", Path("networks"))

    def embed(self, images: np.ndarray) -> np.ndarray:
        Mean.asked += len(images)
        means = images.mean(axis=(1, 2)).astype(np.float32)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_teachers_are_asked_once_about_each_blend(
    faces: FaceSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "Teacher", Mean)
    monkeypatch.setattr(Mean, "asked", 0)
    plan = plan_blends(np.arange(len(faces)), 300, 1)
    more = with_blends(FaceSet(faces.images, faces.labels, 0, tmp_path), plan)
    (targets,) = open_blend_targets(more, plan, ["edgeface-xs"], Path("networks"), shown=False)
    wanted = more.images[len(faces) :].mean(axis=(1, 2))
    np.testing.assert_allclose(targets, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-3)
    (again,) = open_blend_targets(more, plan, ["edgeface-xs"], Path("networks"), shown=False)
    np.testing.assert_array_equal(again, targets)
    assert Mean.asked == 300
    other = plan_blends(np.arange(len(faces)), 300, 2)
    open_blend_targets(more, other, ["edgeface-xs"], Path("networks"), shown=False)
    assert Mean.asked == 600
    with pytest.raises(DataError, match=r"set data\.read: cache"):
        open_blend_targets(with_blends(faces, plan), plan, ["edgeface-xs"], Path("networks"))


def test_no_held_out_face_is_in_a_recipes_blends(faces: FaceSet) -> None:
    recipe = tiny_recipe(data={"drawn": 0, "shards": ("x",), "held_out": 3, "blends": 500}, loss={"teacher": "a.onnx"})
    plan = opening._plan_blends(recipe, faces)
    used = set(plan.own.tolist()) | set(plan.other.tolist())
    assert used == set(split_identities(faces.labels, 3, recipe.data.seed).train_rows.tolist())
