"""Crops of photographs: of two portraits in the public domain, and of pictures that give none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from qcface_sdk import Face
from qcface_sdk.alignment import align
from qcface_sdk.demo.photographs import COLLINS, HOPPER
from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_train.aligning import align_photographs
from qcface_train.faces import SIDE, DataError
from qcface_train.sources.folder import FolderSource
from scripts import load_script

TRAIN = Path(__file__).resolve().parents[2] / "train"


class Fixed:
    """Finds as many faces as the picture's first pixel says, each as wide as the second one says."""

    def detect(self, image: np.ndarray) -> tuple[Face, ...]:
        count, width = int(image[0, 0, 0]), float(image[0, 1, 0])
        face = Face(np.array([5, 5, 5 + width, 70], np.float32), (REFERENCE_POINTS + 3).astype(np.float32), 0.9)
        return (face,) * count


def photograph(path: Path, faces: int, width: int) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(faces).integers(0, 256, (130, 130, 3), np.uint8)
    image[0, :2, 0] = faces, width
    cv2.imwrite(str(path), image)
    return image


def test_one_face_gives_its_crop_and_all_else_is_counted(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "crops"
    image = photograph(photos / "anna/a.png", 1, 60)
    photograph(photos / "anna/b.png", 0, 60)
    photograph(photos / "ben/c.bmp", 2, 60)
    photograph(photos / "ben/d.png", 1, 39)
    (photos / "ben/e.jpg").write_bytes(b"no picture")
    (photos / "ben/notes.txt").write_text("no picture either")
    done = align_photographs(photos, out, Fixed())
    assert (done.written, done.kept) == (1, 0)
    assert done.left_out == {"unreadable": 1, "no face": 1, "several faces": 1, "face too small": 1}
    crop = cv2.imread(str(out / "anna/a.png.png"))
    assert np.array_equal(crop, align(image, REFERENCE_POINTS + 3)[0])
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["a.png.png"]
    again = align_photographs(photos, out, Fixed(), smallest=30)
    assert (again.written, again.kept) == (1, 1)
    assert FolderSource([out]).labels.tolist() == [0, 1]


def test_folder_that_is_none_or_holds_no_picture_or_the_crops_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        align_photographs(tmp_path / "none", tmp_path / "out", Fixed())
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="no picture"):
        align_photographs(tmp_path / "photos", tmp_path / "out", Fixed())
    with pytest.raises(DataError, match="lies inside"):
        align_photographs(tmp_path / "photos", tmp_path / "photos/crops", Fixed())


@pytest.fixture
def main() -> Callable[[list[str]], int]:
    found: Callable[[list[str]], int] = load_script(TRAIN.parent, "align", "train").main
    return found


def test_script_aligns_portraits_with_the_shipped_detector(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for person in (COLLINS, HOPPER):
        if not person.locate().is_file():
            pytest.skip("the portraits of the demonstration are not installed")
        (tmp_path / "photos" / person.subject).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / person.subject / "1.png"), person.read())
    assert main([str(tmp_path / "photos"), "--out", str(tmp_path / "crops")]) == 0
    assert "2 crops written, 0 kept, left out: none" in capsys.readouterr().out
    crops = [cv2.imread(str(path)) for path in sorted((tmp_path / "crops").rglob("*.png"))]
    assert [crop.shape for crop in crops] == [(SIDE, SIDE, 3)] * 2
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "crops")]) == 1
    assert "not a folder" in capsys.readouterr().err
