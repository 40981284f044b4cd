"""Views around a face carry the right labels; the report prints every figure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_faces import drawn_photo

from qcface_train.detector import evaluation
from qcface_train.detector.consensus import with_consensus
from qcface_train.detector.data import read_photos
from qcface_train.detector.evaluation import close_views, measure_all, sweep_views, view_of_face
from qcface_train.detector.layout import Detections
from qcface_train.detector.report import report_lines


class Oracle:
    """Knows the faces of the drawn photos by their colour, at any scale."""

    threshold = 0.5

    def detect(self, picture: np.ndarray, threshold: float = 0.0) -> Detections:
        pale = np.argwhere(picture[..., 2] > 150)
        if not len(pale):
            return Detections(np.zeros(0, np.float32), np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32))
        (top, left), (bottom, right) = pale.min(axis=0), pale.max(axis=0) + 1
        box = np.array([[left, top, right, bottom]], np.float32)
        return Detections(np.ones(1, np.float32), box, np.repeat(box[:, None, :2], 5, axis=1))

    def latency_ms(self, size_wh: tuple[int, int]) -> float:
        return 1.0


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_view_of_face_box_surrounds_the_drawn_face(scale: float) -> None:
    photo = drawn_photo(2)
    view = view_of_face(photo, 0, scale, (192, 160))
    found = Oracle().detect(view.picture).boxes[0]
    np.testing.assert_allclose(found, view.box[0], atol=1.5 + scale)
    nose = view.points[0, 2]
    assert view.picture[round(float(nose[1])), round(float(nose[0]))].mean() < 110


def test_sweep_views_face_has_the_wanted_side() -> None:
    views = list(sweep_views([drawn_photo(seed) for seed in range(3)], 64, limit=2))
    assert len(views) == 2
    for view in views:
        assert (view.box[0, 2:] - view.box[0, :2]).min() == pytest.approx(64, abs=1.5)


def test_close_views_face_fills_the_share_of_the_height() -> None:
    (view,) = close_views([drawn_photo(1)], 0.8, (320, 256), limit=5)
    assert view.box[0, 3] - view.box[0, 1] == pytest.approx(0.8 * 256, abs=2)


def test_measure_all_of_an_oracle_finds_everything_and_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "SWEEP_SIZES", (32, 64))
    photos = [drawn_photo(seed) for seed in range(3)] + [replace(drawn_photo(5, faces=0), source="noface_room")]
    figures = measure_all((Oracle(), Oracle()), photos, None, limit=3, steady=photos)  # type: ignore[arg-type]
    assert figures["photos"][0]["recall_24"] == 1.0
    assert figures["photos"][0]["false"] == 0
    assert len(figures["steady_landmarks"]) == 2
    assert figures["empty_photos"] == {"pictures": 1, "false": [0, 0]}
    assert json.loads(json.dumps(figures))["sweep"]["64"]["recall"] == [1.0, 1.0]
    text = "\n".join(report_lines(figures))
    assert "recall_24" in text
    assert "close faces" in text


def test_read_photos_missing_labels_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"labels\.jsonl"):
        read_photos(tmp_path, "val")


def test_with_consensus_cache_is_read_back(tmp_path: Path) -> None:
    photo = drawn_photo(1)
    moved = photo.points + 3
    np.savez(tmp_path / "points.npz", **{photo.name: moved})
    (refined,) = with_consensus(None, [photo], tmp_path / "points.npz")  # type: ignore[arg-type]
    np.testing.assert_array_equal(refined.points, moved)


def test_read_photos_of_research_data_have_faces_inside(data_dir: Path) -> None:
    folder = data_dir / "detect"
    if not folder.is_dir():
        pytest.skip(f"no detection photos at {folder}")
    photos = read_photos(folder, "val")
    assert len(photos) == 336
    assert all(photo.boxes.shape[1:] == (4,) and photo.points.shape[1:] == (5, 2) for photo in photos)
