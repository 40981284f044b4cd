"""Batches from the number of a step: by single pictures or at once, read or resident, with a teacher that looks on."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train.distributed import World  # noqa: E402
from tiny_runs import curve, make_trainer, tiny_recipe  # noqa: E402

BATCHED = {"augmentation": "batch"}


def test_resident_pictures_give_the_batches_of_read_ones(tmp_path: Path) -> None:
    read = make_trainer(tiny_recipe(data=BATCHED), tmp_path).make_batch(9)
    resident = make_trainer(tiny_recipe(data=BATCHED | {"resident": True}), tmp_path).make_batch(9)
    assert torch.equal(read.images, resident.images)
    assert torch.equal(read.classes, resident.classes)
    single = make_trainer(tiny_recipe(), tmp_path).make_batch(9)
    assert torch.equal(read.classes, single.classes)
    assert not torch.equal(read.images, single.images)


def test_run_with_batched_augmentation_and_more_workers_gives_one_curve(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("three", 3)):
        recipe = tiny_recipe(data=BATCHED, run={"steps": 4, "workers": workers, "accumulate": 2})
        make_trainer(recipe, tmp_path / name).fit(shown=False)
    assert curve(tmp_path / "one") == pytest.approx(curve(tmp_path / "three"), rel=1e-6)


class Onlooker:
    """A teacher that keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images)
        return torch.nn.functional.one_hot(torch.arange(len(images)), 512).float()


def test_online_teacher_sees_what_the_student_sees(tmp_path: Path) -> None:
    onlooker = Onlooker()
    trainer = make_trainer(tiny_recipe(), tmp_path, teacher=onlooker, world=World())
    batch = trainer.make_batch(0)
    assert torch.equal(onlooker.seen[0], batch.images)
    assert batch.targets.argmax(1).tolist() == list(range(8))


def test_compiled_network_trains_like_the_plain_one(tmp_path: Path) -> None:
    losses = []
    for backend in ("", "eager"):
        trainer = make_trainer(tiny_recipe(run={"compile": backend, "precision": "fp32"}), tmp_path)
        losses.append([trainer.train_step(trainer.make_batch(step))["loss"] for step in range(2)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
