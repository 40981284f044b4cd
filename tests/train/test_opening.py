"""What a recipe opens."""

from __future__ import annotations

import dataclasses
import logging
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from encoded_pictures import picture, write_shard  # noqa: E402
from qcface_train.arguments import Recipe  # noqa: E402
from qcface_train.checkpoint import CheckpointError, save_weights  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402
from qcface_train.faces import DataError  # noqa: E402
from qcface_train.opening import open_faces, open_pair_sets, open_trainer  # noqa: E402
from tiny_models import tiny_recognizer  # noqa: E402
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


def taught_recipe(teacher: str, sees: str = "clean") -> Recipe:
    """Return a recipe for folders of crops and teachers of the test's making."""
    data = {"drawn": 0, "shards": ("crops",)}
    return tiny_recipe(
        data=data, loss={"teacher": teacher, "teacher_sees": sees, "norm": "none"}, run={"norm_phase": 0.0}
    )


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets of pictures, two teachers of 300 numbers each, and a run of the first set."""
    folder = tmp_path_factory.mktemp("taught")
    for number in (1, 2):
        faces = draw_faces(4, 4, number)
        for row, (pixels, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
            place = folder / f"{number}/crops/{label}/{row}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place), pixels[..., ::-1])
        (folder / f"{number}/teachers").mkdir()
        for seed in (1, 2):
            (folder / f"{number}/teachers/{seed}.onnx").write_bytes(tiny_recognizer(seed, dimension=300))
    trainer = open_trainer(taught_recipe("1.onnx+2.onnx"), folder / "1", folder / "cache", folder / "run")
    trainer.save()
    save_weights(folder / "run/weights.pt", trainer.average.state_dict())
    return folder


def test_run_that_begins_with_a_checkpoint_keeps_the_axes_of_its_teachers(taught: Path, tmp_path: Path) -> None:
    wanted = np.load(taught / "run/teacher_basis.npy")
    recipe, before = taught_recipe("1.onnx+2.onnx"), taught / "run/checkpoint.pt"
    other = open_trainer(recipe, taught / "2", taught / "cache", tmp_path / "other")
    assert not np.allclose(other.basis.matrix, wanted, atol=0.1)
    kept = open_trainer(recipe, taught / "2", taught / "cache", tmp_path / "kept", before=before)
    assert not torch.allclose(kept.make_batch(0).targets, other.make_batch(0).targets, atol=0.1)
    seen = open_trainer(
        taught_recipe("1.onnx+2.onnx", "augmented"), taught / "2", taught / "cache", tmp_path / "seen", before=before
    )
    # A run without a teacher in between hands them on.
    between = open_trainer(tiny_recipe(), tmp_path, tmp_path, tmp_path / "between", before=before)
    between.save()
    after = open_trainer(
        recipe, taught / "2", taught / "cache", tmp_path / "after", before=tmp_path / "between/checkpoint.pt"
    )
    for trainer in (kept, seen, between, after):
        np.testing.assert_array_equal(trainer.basis.matrix, wanted)
    # Resumed where its file was lost.
    (tmp_path / "between/teacher_basis.npy").unlink(missing_ok=True)
    resumed = open_trainer(
        recipe, taught / "2", taught / "cache", tmp_path / "between", before=tmp_path / "between/checkpoint.pt"
    )
    assert torch.equal(resumed.make_batch(0).targets, kept.make_batch(0).targets)


def test_run_that_begins_with_the_student_of_other_teachers_is_refused(taught: Path, tmp_path: Path) -> None:
    recipe, cache = taught_recipe("2.onnx+1.onnx"), taught / "cache"
    with pytest.raises(CheckpointError, match=r"learned from 1\.onnx\+2\.onnx, the recipe names 2\.onnx\+1\.onnx"):
        open_trainer(recipe, taught / "1", cache, tmp_path / "run", before=taught / "run/checkpoint.pt")
    assert not (tmp_path / "run").exists()
    begun = open_trainer(recipe, taught / "1", cache, tmp_path / "run", before=taught / "run/weights.pt")
    assert begun.basis.teachers == ("2.onnx", "1.onnx")
    with pytest.raises(DataError, match="joins 600 numbers and 1.onnx give 300"):
        open_trainer(taught_recipe("1.onnx"), taught / "1", cache, tmp_path / "run")


def test_checkpoint_of_before_bases_were_kept_lets_the_run_fit_its_own(taught: Path, tmp_path: Path) -> None:
    content = torch.load(taught / "run/checkpoint.pt", weights_only=True)
    del content["teacher_basis"]
    torch.save(content, tmp_path / "old.pt")
    recipe = taught_recipe("1.onnx+2.onnx")
    begun = open_trainer(recipe, taught / "1", taught / "cache", tmp_path / "run", before=tmp_path / "old.pt")
    begun.start_from(tmp_path / "old.pt")
    assert begun.basis.matrix.shape == (600, 512)
