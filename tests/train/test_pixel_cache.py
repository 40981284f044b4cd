"""Tar shards to the pixel cache: order, labels, and every kind of damaged input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from encoded_pictures import picture, write_shard
from qcface_train.faces import UNLABELLED, DataError, FaceSet
from qcface_train.pixel_cache import open_cached
from qcface_train.sources.tar import TarSource


def open_faces(shards: list[Path], cache: Path) -> FaceSet:
    return open_cached(TarSource(shards), cache)


def test_open_faces_of_good_shards_keeps_order_labels_and_colour(tmp_path: Path) -> None:
    first = write_shard(
        tmp_path / "a.tar.gz", [("x", {"webp": picture(10), "cls": b"5"}), ("y", {"webp": picture(20)})]
    )
    second = write_shard(tmp_path / "b.tar.gz", [("x", {"cls": b"0\n", "webp": picture(30)})])
    faces = open_faces([first, second], tmp_path / "cache")
    assert faces.labels.tolist() == [5, UNLABELLED, 0]
    assert faces.images[:, 0, 0].tolist() == [[200, 10, 10], [200, 20, 20], [200, 30, 30]]
    assert faces.skipped == 0


@pytest.mark.parametrize(
    "parts",
    [
        {"webp": b"no picture", "cls": b"1"},
        {"webp": picture(5)[:60], "cls": b"1"},
        {"webp": picture(5, side=96), "cls": b"1"},
        {"webp": picture(5), "cls": b"one"},
        {"webp": picture(5), "cls": b"-3"},
        {"webp": b"", "cls": b"1"},
        {"cls": b"1"},
    ],
    ids=["foreign", "truncated", "small", "label-text", "label-negative", "empty", "no-picture"],
)
def test_open_faces_with_a_corrupt_record_skips_and_counts_it(
    tmp_path: Path, parts: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    good = {"webp": picture(9), "cls": b"2"}
    shard = write_shard(tmp_path / "a.tar.gz", [("a", good), ("bad", parts), ("c", good)])
    faces = open_faces([shard], tmp_path / "cache")
    assert (len(faces), faces.skipped) == (2, 1)
    assert "record bad" in caplog.text
    assert "skipped" in caplog.text


def test_open_faces_a_second_time_reads_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = write_shard(tmp_path / "a.tar.gz", [("a", {"webp": picture(1), "cls": b"2"})])
    first = open_faces([shard], tmp_path / "cache")
    monkeypatch.setattr(cv2, "imdecode", None)
    assert np.array_equal(open_faces([shard], tmp_path / "cache").images, first.images)


def test_open_faces_of_changed_shards_does_not_meet_the_old_cache(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    for value in (1, 2):
        write_shard(path, [("a", {"webp": picture(value), "cls": b"2"})])
        assert int(open_faces([path], tmp_path / "cache").images[0, 0, 0, 1]) == value


def test_open_faces_of_a_truncated_shard_raises_and_leaves_no_cache(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    path = write_shard(tmp_path / "a.tar.gz", [(str(i), {"png": data, "cls": b"2"}) for i in range(3)])
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(DataError, match="not a whole tar"):
        open_faces([path], tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_open_faces_of_nothing_usable_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one tar shard"):
        open_faces([], tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        open_faces([tmp_path / "absent.tar"], tmp_path)
    empty = write_shard(tmp_path / "empty.tar.gz", [])
    with pytest.raises(DataError, match="no usable picture"):
        open_faces([empty], tmp_path / "cache")
