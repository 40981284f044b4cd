"""The batched augmentation against the one by one: equal where nothing is random, alike in statistics where it is."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from qcface_train.augmentation import DAMAGES, augment  # noqa: E402
from qcface_train.batched_augmentation import BatchAugmentation  # noqa: E402
from qcface_train.batched_damage import BATCH_DAMAGES, as_normals  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402

COUNT = 24


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return draw_faces(COUNT // 4, 4, 3).images


def as_planes(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float()


def as_pictures(planes: torch.Tensor) -> np.ndarray:
    return planes.permute(0, 2, 3, 1).numpy()


def damage_batch(kind: str, faces: np.ndarray, strength: float, seed: int = 5) -> np.ndarray:
    u = np.random.default_rng(seed).random((len(faces), 12))
    return as_pictures(BATCH_DAMAGES[kind](as_planes(faces), np.full(len(faces), strength), u))


def damage_each(kind: str, faces: np.ndarray, strength: float, seed: int = 5) -> np.ndarray:
    rngs = [np.random.default_rng([seed, index]) for index in range(len(faces))]
    return np.stack([DAMAGES[kind](face, strength, rng) for face, rng in zip(faces, rngs, strict=True)]).astype(float)


def test_kinds_are_those_of_the_augmentation_of_single_pictures_in_their_order() -> None:
    assert list(BATCH_DAMAGES) == list(DAMAGES)


@pytest.mark.parametrize(("kind", "limit"), [("blur", 0.6), ("jpeg", 1.0)])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_damage_without_chance_is_that_of_opencv(kind: str, limit: float, strength: float, faces: np.ndarray) -> None:
    ours, theirs = damage_batch(kind, faces, strength), damage_each(kind, faces, strength)
    change = np.abs(theirs - faces).mean()
    assert np.abs(ours - theirs).mean() < min(limit, 0.25 * change + 0.3)


@pytest.mark.parametrize("kind", list(DAMAGES))
def test_damage_has_the_strength_of_that_of_single_pictures(kind: str, faces: np.ndarray) -> None:
    before = []
    for strength in (0.1, 0.5, 0.9):
        changes = []
        for damage in (damage_batch, damage_each):
            results = [damage(kind, faces, strength, seed) for seed in range(4)]
            assert all(result.min() >= 0 and result.max() <= 255 for result in results)
            assert all(np.array_equal(result, np.rint(result)) for result in results)
            changes.append(np.mean([np.abs(result - faces).mean() for result in results]))
        assert changes[0] == pytest.approx(changes[1], rel=0.15), strength
        before.append(changes[0])
    assert before[0] < before[1] < before[2]


def test_normals_are_normal_and_noise_is_fresh_for_each_picture(faces: np.ndarray) -> None:
    normal = as_normals(np.random.default_rng(1).random((5000, 4)))
    assert normal.mean(axis=0) == pytest.approx(np.zeros(4), abs=0.06)
    assert normal.std(axis=0) == pytest.approx(np.ones(4), abs=0.06)
    grey = np.full_like(faces, 128)
    noise = damage_batch("noise", grey, 0.5) - 128
    assert noise.mean() == pytest.approx(0, abs=0.2)
    assert noise.std() == pytest.approx(3 * 26**0.5, rel=0.02)
    flat = noise.reshape(len(noise), -1)
    assert np.abs(np.corrcoef(flat) - np.eye(len(flat))).max() < 0.03
    for shift in (1, 3, 112):
        assert abs(np.corrcoef(flat[:, shift:].ravel(), flat[:, :-shift].ravel())[0, 1]) < 0.01


def changed(
    faces: np.ndarray, step: int, size: int = COUNT, part: range | None = None, share: float = 0.6
) -> np.ndarray:
    part = part or range(size)
    augmentation = BatchAugmentation(7, size, part)
    images = augmentation(torch.from_numpy(faces[part.start : part.stop]), step, share, 1.0)
    assert images.is_contiguous(memory_format=torch.channels_last)
    return as_pictures(images * 127.5 + 127.5)


def test_batch_depends_on_seed_and_step_alone_and_parts_make_it_up(faces: np.ndarray) -> None:
    whole = changed(faces, 3)
    assert np.array_equal(whole, changed(faces, 3))
    assert not np.array_equal(whole, changed(faces, 4))
    parts = np.concatenate([changed(faces, 3, part=range(start, start + 8)) for start in range(0, COUNT, 8)])
    np.testing.assert_allclose(parts, whole, atol=1.01)  # rounding of sums in another order
    assert np.mean(parts != whole) < 0.01


def test_batch_leaves_its_input_as_it_was(faces: np.ndarray) -> None:
    before = faces.copy()
    changed(faces, 1, share=1.0)
    assert np.array_equal(faces, before)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_batch_changes_as_much_as_single_pictures_are_changed(share: float, faces: np.ndarray) -> None:
    ours = np.mean([np.abs(changed(faces, step, share=share) - faces).mean() for step in range(12)])
    rngs = (np.random.default_rng([9, index]) for index in range(12 * COUNT))
    theirs = np.mean(
        [
            np.abs(augment(faces[i % COUNT], rng, share, 1.0).astype(float) - faces[i % COUNT]).mean()
            for i, rng in enumerate(rngs)
        ]
    )
    assert ours == pytest.approx(theirs, rel=0.15)
