from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcface_sdk.cli.pictures import AnnotatedFolder, find_pictures, read_each
from qcface_sdk.errors import ImageReadError
from qcface_sdk.image import read_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.JPG", "notes.txt", ".hidden.png", "deep/c.webp", ".cache/d.png"):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "photos"


def _names(folder: Path, found: tuple[Path, ...]) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in found]


def test_find_pictures_of_a_folder_are_sorted_visible_pictures(folder: Path) -> None:
    assert _names(folder, find_pictures([str(folder)])) == ["a.JPG", "b.png", "deep/c.webp"]


def test_find_pictures_of_a_pattern_are_its_matches(folder: Path) -> None:
    assert _names(folder, find_pictures([f"{folder}/**/*.w*"])) == ["deep/c.webp"]


def test_find_pictures_takes_a_named_file_whatever_its_ending(folder: Path) -> None:
    assert find_pictures([str(folder / "notes.txt")]) == (folder / "notes.txt",)


def test_find_pictures_named_twice_come_once_in_the_order_given(folder: Path) -> None:
    found = find_pictures([str(folder / "b.png"), str(folder), str(folder / "b.png")])
    assert _names(folder, found) == ["b.png", "a.JPG", "deep/c.webp"]


def test_find_pictures_file_with_pattern_letters_in_its_name_is_that_file(tmp_path: Path) -> None:
    odd = tmp_path / "door[1].png"
    odd.write_bytes(b"x")
    assert find_pictures([str(odd)]) == (odd,)


def test_find_pictures_of_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="holds no picture"):
        find_pictures([str(tmp_path)])


def test_find_pictures_of_a_pattern_without_a_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="no file matches"):
        find_pictures([f"{tmp_path}/*.png"])


def test_read_each_yields_the_error_of_a_bad_file_and_goes_on(tmp_path: Path, draw) -> None:
    good, missing = draw("good.png", (255, 255, 255)), tmp_path / "missing.png"
    results = dict(read_each([missing, good]))
    assert isinstance(results[missing], ImageReadError)
    assert isinstance(results[good], np.ndarray)


def test_annotated_folder_gives_equal_names_numbers(tmp_path: Path) -> None:
    folder = AnnotatedFolder(tmp_path / "new" / "marked")
    image = np.full((20, 30, 3), 7, np.uint8)
    files = [folder.save(Path(name), image) for name in ("x/door.jpg", "y/door.jpg", "door.png")]
    assert [file.name for file in files] == ["door.png", "door-2.png", "door-3.png"]
    np.testing.assert_array_equal(read_image(files[2]), image)
