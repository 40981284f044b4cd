"""What a recipe opens."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from encoded_pictures import picture, write_shard  # noqa: E402
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


@pytest.mark.parametrize("read", ["cache", "stream"])
def test_open_faces_says_how_many_records_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, read: str
) -> None:
    caplog.set_level(logging.INFO, "qcface_train")
    records = [(f"{i}", {"png": picture(i), "cls": b"1" if i else b"no number"}) for i in range(4)]
    write_shard(tmp_path / "x.tar", records)
    recipe = tiny_recipe(data={"drawn": 0, "shards": ("*.tar",), "pairs": ("*.bin",), "read": read})
    for _ in range(2):  # also from a cache that is there
        caplog.clear()
        assert len(open_faces(recipe, tmp_path, tmp_path / "cache")) == 3
        assert "*.tar: 3 pictures, 1 records skipped" in caplog.text
    pairs = [picture(1), picture(2), picture(3), b"damaged"]
    (tmp_path / "watched.bin").write_bytes(pickle.dumps((pairs, [True, False])))
    open_pair_sets(recipe, tmp_path)
    assert "watched: 1 pairs, 1 skipped" in caplog.text
