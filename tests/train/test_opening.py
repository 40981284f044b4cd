"""What a recipe opens."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train.faces import DataError  # noqa: E402
from qcface_train.opening import open_faces, open_pair_sets, open_trainer  # noqa: E402
from tiny_runs import make_trainer, tiny_recipe  # noqa: E402


def test_open_trainer_gives_the_trainer_of_the_recipe(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    opened = open_trainer(recipe, tmp_path, tmp_path, tmp_path / "run")
    assert torch.equal(opened.make_batch(2).images, make_trainer(recipe, tmp_path).make_batch(2).images)
    assert opened.pairs == {}


def test_open_of_what_is_not_there_says_what_to_check(tmp_path: Path) -> None:
    recipe = tiny_recipe(data={"drawn": 0, "shards": ("train/*.tar.gz",), "pairs": ("*.bin",)})
    with pytest.raises(DataError, match=r"train/\*\.tar\.gz"):
        open_faces(recipe, tmp_path, tmp_path)
    with pytest.raises(DataError, match=r"data\.pairs and --data"):
        open_pair_sets(recipe, tmp_path)
    watched = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, pairs=()))
    assert open_pair_sets(watched, tmp_path) == {}
