"""The split by identity and batches that depend on the step alone."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from qcface_train.data import NO_CLASS, BatchMaker, ahead, split_identities  # noqa: E402
from qcface_train.drawing import draw_faces  # noqa: E402
from qcface_train.faces import UNLABELLED, DataError, FaceSet, RecordError  # noqa: E402


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return draw_faces(8, 6, 1)


def test_split_identities_keeps_each_identity_on_one_side() -> None:
    labels = np.array([40, 40, 40, 40, UNLABELLED, 7, 7, 7, 7, 2, 99, 99, 99, 99])
    split = split_identities(labels, held_out=1, seed=3)
    out = labels[split.held_out_rows]
    assert len(set(out)) == 1
    assert len(out) == 4
    assert not set(out) & set(labels[split.train_rows])
    assert len(split.train_rows) + len(split.held_out_rows) == len(labels)


def test_split_identities_with_label_gaps_numbers_classes_without_gaps() -> None:
    labels = np.array([40, 7, UNLABELLED, 40, 1000])
    split = split_identities(labels, held_out=0, seed=3)
    assert split.train_classes.tolist() == [1, 0, NO_CLASS, 1, 2]
    assert split.class_count == 3


def test_split_identities_with_too_few_able_identities_raises() -> None:
    with pytest.raises(DataError, match="cannot hold out 2 identities: only 1"):
        split_identities(np.array([0, 0, 0, 0, 1]), held_out=2, seed=1)
    with pytest.raises(DataError, match="no labelled picture remains"):
        split_identities(np.array([UNLABELLED] * 4), held_out=0, seed=1)


def test_make_gives_equal_batches_in_any_order(faces: FaceSet) -> None:
    split = split_identities(faces.labels, 1, 1, smallest=4)
    makers = [BatchMaker(faces, split, None, 10, 5) for _ in range(2)]
    later = makers[0].make(3, 0.5, 1.0)
    for step in range(3):
        makers[1].make(step, 0.5, 1.0)
    again = makers[1].make(3, 0.5, 1.0)
    assert torch.equal(later.images, again.images)
    assert torch.equal(later.classes, again.classes)
    assert later.images.is_contiguous(memory_format=torch.channels_last)
    assert float(later.images.abs().max()) <= 1.0


def test_rows_of_an_epoch_are_all_training_pictures_once(faces: FaceSet) -> None:
    split = split_identities(faces.labels, 1, 1)
    maker = BatchMaker(faces, split, None, 6, 5)
    count = len(split.train_rows)
    assert count == 42
    first, second = (np.concatenate([maker.sources(step).rows for step in range(start, start + 7)]) for start in (0, 7))
    assert sorted(first) == sorted(second) == split.train_rows.tolist()
    assert first.tolist() != second.tolist()


def test_batch_maker_for_too_few_pictures_raises(faces: FaceSet) -> None:
    with pytest.raises(DataError, match="batch size 100 exceeds"):
        BatchMaker(faces, split_identities(faces.labels, 1, 1), None, 100, 1)


def test_ahead_yields_every_step_once_until_the_moving_end(faces: FaceSet) -> None:
    maker = BatchMaker(faces, split_identities(faces.labels, 1, 1), None, 4, 1)
    end = [9]
    seen = []
    for step, batch in ahead(lambda step: maker.make(step, 0.0, 0.0), 2, lambda: end[0]):
        seen.append(step)
        assert torch.equal(batch.classes, torch.from_numpy(maker.split.train_classes[maker.sources(step).rows]))
        end[0] = 6
    assert seen == [2, 3, 4, 5]


def test_split_identities_with_a_smallest_class_takes_the_label_from_smaller_ones() -> None:
    labels = np.array([5, 5, 9, UNLABELLED, 7, 7])
    split = split_identities(labels, held_out=0, seed=1, smallest_class=2)
    assert split.train_classes.tolist() == [0, 0, NO_CLASS, NO_CLASS, 1, 1]
    assert split.train_rows.tolist() == [0, 1, 2, 3, 4, 5]
    without = split_identities(labels, held_out=0, seed=1, smallest_class=2, use_unlabelled=False)
    assert without.train_rows.tolist() == [0, 1, 4, 5]


def test_parts_of_a_batch_are_the_batch(faces: FaceSet) -> None:
    split = split_identities(faces.labels, 1, 1)
    whole = BatchMaker(faces, split, None, 8, 5).make(6, 0.5, 1.0)
    parts = [BatchMaker(faces, split, None, 8, 5, part=slice(i, i + 4)).make(6, 0.5, 1.0) for i in (0, 4)]
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    assert torch.equal(torch.cat([part.classes for part in parts]), whole.classes)


class Damaged:
    """Images of which some cannot be read."""

    def __init__(self, images: np.ndarray, bad: set[int]) -> None:
        self.images, self.bad, self.shape = images, bad, images.shape

    def __getitem__(self, row: int) -> np.ndarray:
        if row in self.bad:
            raise RecordError(f"picture {row} is damaged")
        return self.images[row]


def test_damaged_pictures_are_reported_once_and_replaced_in_the_same_way(
    faces: FaceSet, caplog: pytest.LogCaptureFixture
) -> None:
    split = split_identities(faces.labels, 0, 1)
    broken = FaceSet(Damaged(faces.images, {3, 4, 47}), faces.labels, 0, None)
    maker = BatchMaker(broken, split, None, 12, 5)
    for step in range(8):  # two epochs
        pictures, sources = maker.read(step)
        assert np.array_equal(pictures, faces.images[sources.rows])
        again = BatchMaker(broken, split, None, 12, 5).read(step)
        assert np.array_equal(again[1].rows, sources.rows)
    assert maker.skipped == 3
    assert "picture 47 is damaged" in caplog.text
    nothing = FaceSet(Damaged(faces.images, set(range(48))), faces.labels, 0, None)
    with pytest.raises(DataError, match="damaged records in a row"):
        BatchMaker(nothing, split, None, 12, 5).read(0)
