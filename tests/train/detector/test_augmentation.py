"""Labels move with the pixels, and the same chance gives the same picture."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_faces import drawn_photo

from qcface_train.detector.augmentation import PhotoPool, compose, damage


@pytest.fixture(scope="module")
def pool() -> PhotoPool:
    return PhotoPool.from_photos([drawn_photo(seed) for seed in range(4)] + [drawn_photo(9, faces=0)])


def test_from_photos_sorts_by_use(pool: PhotoPool) -> None:
    assert len(pool.faces) == 4
    assert [photo.name for photo in pool.empty] == ["drawn-9"]


def test_compose_same_chance_gives_same_sample(pool: PhotoPool) -> None:
    first, second = (compose(pool, 128, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first.picture, second.picture)
    np.testing.assert_array_equal(first.boxes, second.boxes)


def test_compose_eyes_and_cheeks_have_the_drawn_colours(pool: PhotoPool) -> None:
    """The drawn nose is dark, the cheek beside it pale, wherever the face lands."""
    checked = 0
    for seed in range(60):
        sample = compose(pool, 256, np.random.default_rng(seed))
        for box, points, visible in zip(sample.boxes, sample.points, sample.visible, strict=True):
            if visible < 0.99 or (box[2] - box[0]) < 40:
                continue
            eyes, nose = points[:2], points[2]
            cheek = nose + 0.75 * (points[3] - nose) + 0.45 * (eyes[0] - points[3])
            dark, pale = (sample.picture[round(float(y)), round(float(x))].mean() for x, y in (nose, cheek))
            assert dark < 110 < pale, f"seed {seed}"
            assert points[0, 0] < points[1, 0], "the left eye is left in the picture, mirrored or not"
            checked += 1
    assert checked > 20


def test_compose_many_draws_cover_small_and_frame_filling_faces(pool: PhotoPool) -> None:
    samples = [compose(pool, 192, np.random.default_rng(seed)) for seed in range(150)]
    heights = np.concatenate(
        [sample.boxes[sample.visible > 0.7, 3] - sample.boxes[sample.visible > 0.7, 1] for sample in samples]
    )
    assert (heights < 24).sum() > 5
    assert (heights > 0.6 * 192).sum() > 5


def test_damage_leaves_the_source_alone_and_changes_most_copies() -> None:
    picture = drawn_photo(1).picture
    before = picture.copy()
    changed = sum(not np.array_equal(damage(picture, 40.0, np.random.default_rng(seed)), before) for seed in range(30))
    np.testing.assert_array_equal(picture, before)
    assert changed > 15
    assert damage(picture, 40.0, np.random.default_rng(3)).dtype == np.uint8
