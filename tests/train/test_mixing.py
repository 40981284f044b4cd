"""Mixed faces: what is blended with what, and the target between both targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("yaml")
pytest.importorskip("tqdm")

from qcface_train.augmentation import augment  # noqa: E402
from qcface_train.data import NO_CLASS, BatchMaker, split_identities, to_network_input  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402
from qcface_train.faces import FaceSet, RecordError  # noqa: E402
from qcface_train.loop import Trainer  # noqa: E402
from qcface_train.mixing import blend_pictures, blend_targets, draw_sources  # noqa: E402
from tiny_runs import tiny_recipe  # noqa: E402


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return draw_faces(8, 6, 1)


@pytest.fixture(scope="module")
def targets(faces: FaceSet) -> np.ndarray:
    found = np.random.default_rng(3).normal(size=(len(faces), 512)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def maker(faces: FaceSet, targets: np.ndarray | None, share: float, part: slice | None = None) -> BatchMaker:
    return BatchMaker(faces, split_identities(faces.labels, 1, 1), targets, 12, 5, part=part, mixed_share=share)


def test_a_share_of_the_pictures_is_blended_with_another_one_of_the_batch() -> None:
    batch = np.arange(100, 400)
    mixed = 0
    for step in range(10):
        sources = draw_sources(batch, range(300), 1, step, 0.3)
        places = sources.mixed
        mixed += len(places)
        assert np.array_equal(sources.rows, batch)
        assert (sources.partners[places] != sources.rows[places]).all()
        assert set(sources.partners.tolist()) <= set(batch.tolist())
        assert ((sources.shares[places] >= 0.5) & (sources.shares[places] < 1)).all()
        assert np.array_equal(np.delete(sources.partners, places), np.delete(batch, places))
    assert mixed == pytest.approx(900, abs=5 * np.sqrt(3000 * 0.3 * 0.7))
    assert not len(draw_sources(batch, range(300), 1, 0, 0.0).mixed)
    assert not len(draw_sources(batch[:1], range(1), 1, 0, 0.9).mixed)


def test_blend_is_the_weighted_mean_rounded() -> None:
    own, other = (np.random.default_rng(seed).integers(0, 256, (3, 4, 4, 3), np.uint8) for seed in (1, 2))
    shares = np.array([0.5, 0.75, 0.9], np.float32)
    wanted = shares[:, None, None, None] * own + (1 - shares[:, None, None, None]) * other
    found = blend_pictures(torch.from_numpy(own), torch.from_numpy(other), torch.from_numpy(shares)).numpy()
    assert np.abs(found - wanted).max() <= 0.501


def test_target_of_a_blend_is_the_direction_of_the_weighted_mean() -> None:
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = blend_targets(first, second, torch.tensor([0.75]))
    assert found.tolist()[0] == pytest.approx((np.array([3, 1]) / np.sqrt(10)).tolist())


def test_batch_holds_blends_without_a_class_and_all_else_unchanged(faces: FaceSet, targets: np.ndarray) -> None:
    plain, mixing = maker(faces, targets, 0.0), maker(faces, targets, 0.5)
    pictures, sources = mixing.read(4)
    mixed = sources.mixed
    assert 0 < len(mixed) < 12
    own, other = faces.images[sources.rows[mixed]], faces.images[sources.partners[mixed]]
    share = sources.shares[mixed, None, None, None]
    assert np.abs(pictures[mixed] - (share * own + (1 - share) * other)).max() <= 0.501
    batch, without = mixing.make(4, 0.5, 1.0), plain.make(4, 0.5, 1.0)
    assert (batch.classes[mixed] == NO_CLASS).all()
    between = sources.shares[mixed, None] * targets[sources.rows[mixed]]
    between += (1 - sources.shares[mixed, None]) * targets[sources.partners[mixed]]
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    np.testing.assert_allclose(batch.targets[mixed].numpy(), between, atol=1e-6)
    # blends are augmented like any picture
    place = int(mixed[0])
    wanted = augment(pictures[place], np.random.default_rng([5, 3, 4, place]), 0.5, 1.0)
    assert torch.equal(batch.images[place], to_network_input(wanted[None])[0])
    alone = np.delete(np.arange(12), mixed)
    for name in ("images", "classes", "targets"):
        assert torch.equal(getattr(batch, name)[alone], getattr(without, name)[alone])


def test_parts_of_a_mixed_batch_are_the_batch(faces: FaceSet, targets: np.ndarray) -> None:
    whole = maker(faces, targets, 0.6).make(2, 0.5, 1.0)
    parts = [maker(faces, targets, 0.6, slice(start, start + 6)).make(2, 0.5, 1.0) for start in (0, 6)]
    for name in ("images", "classes", "targets"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_target_of_a_blend_with_a_damaged_partner_is_that_of_the_picture_in_its_place(
    faces: FaceSet, targets: np.ndarray
) -> None:
    class Damaged:
        shape = faces.images.shape

        def __getitem__(self, row: int) -> np.ndarray:
            if row % 5 == 0:
                raise RecordError(f"picture {row} is damaged")
            return np.asarray(faces.images[row])

    broken = maker(FaceSet(Damaged(), faces.labels, 0, None), targets, 0.9)
    pictures, sources = broken.read(1)
    assert (sources.rows % 5 > 0).all()
    assert (sources.partners[sources.mixed] % 5 > 0).all()
    place = int(sources.mixed[0])
    share = sources.shares[place]
    wanted = share * faces.images[sources.rows[place]] + (1 - share) * faces.images[sources.partners[place]]
    assert np.abs(pictures[place] - wanted).max() <= 0.501


@pytest.mark.parametrize("data", [{}, {"augmentation": "batch"}, {"augmentation": "batch", "resident": True}])
def test_run_with_mixed_faces_trains_and_resident_ones_are_those_that_are_read(
    faces: FaceSet, targets: np.ndarray, tmp_path: Path, data: dict[str, object]
) -> None:
    data = data | {"drawn": 0, "shards": ("x",), "mixed_share": 0.5}
    recipe = tiny_recipe(data=data, loss={"teacher": "edgeface-xs"})
    trainer = Trainer(recipe, faces, split_identities(faces.labels, 0, 1), targets, tmp_path)
    batch = trainer.make_batch(3)
    assert 0 < int((batch.classes == NO_CLASS).sum()) < len(batch.classes)
    if data.get("resident"):
        trainer.feeder._pixels = None
        assert torch.equal(trainer.make_batch(3).images, batch.images)
    figures = trainer.train_step(trainer.make_batch(0))
    assert figures["kd"] > 0
    assert np.isfinite(figures["loss"])
