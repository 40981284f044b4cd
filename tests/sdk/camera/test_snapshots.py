from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

from qcface_sdk import EventStorageError, Face, OptionError
from qcface_sdk.camera import Snapshots
from qcface_sdk.camera.snapshots import blur_faces


def face(*box: float) -> Face:
    return Face(np.array(box), np.zeros((5, 2)), 0.9)


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)


def test_only_the_subject_stays_even_where_boxes_overlap(image: np.ndarray) -> None:
    subject, other = face(50, 50, 100, 100), face(90, 40, 160, 120)
    shown = blur_faces(image, [other], 0.3, keep=subject)
    assert (shown[50:101, 50:101] == image[50:101, 50:101]).all()
    assert len(np.unique(shown[40:120, 101:160].reshape(-1, 3), axis=0)) <= 36
    assert (shown[:15] == image[:15]).all()


def test_boxes_beyond_the_edge_and_empty_ones_do_no_harm(image: np.ndarray) -> None:
    for odd in (face(-50, -50, 20, 20), face(290, 190, 400, 400), face(500, 500, 600, 600), face(10, 10, 10, 10)):
        assert blur_faces(image, [odd], 0.3).shape == image.shape


def test_old_and_surplus_files_go(tmp_path: Path, image: np.ndarray) -> None:
    folder = Snapshots(tmp_path, keep_days=1, most=3)
    old = tmp_path / "old.jpg"
    old.write_bytes(b"x")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    for number in range(5):
        path = folder.save(f"event-{number}", image, face(0, 0, 9, 9), [])
        os.utime(path, (time.time() - 100 + number,) * 2)
    assert not old.exists()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["event-2.jpg", "event-3.jpg", "event-4.jpg"]


def test_an_id_cannot_leave_the_folder(tmp_path: Path, image: np.ndarray) -> None:
    path = Snapshots(tmp_path / "in").save("../../evil", image, face(0, 0, 9, 9), [])
    assert Path(path).parent == tmp_path / "in"


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path, image: np.ndarray) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EventStorageError):
        Snapshots(tmp_path / "file" / "in")
    with pytest.raises(OptionError):
        Snapshots(tmp_path, keep_days=0)
    folder = Snapshots(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(EventStorageError):
        folder.save("x", image, face(0, 0, 9, 9), [])
