"""Picture sets are read in a fixed order from folders and tars; what is no aligned crop is refused by name."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_export.errors import CalibrationError
from qcface_export.pictures import PictureSet, read_pictures, split_for_proof, with_damage
from small_networks import small_pictures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "crops"
    for index, crop in enumerate(small_pictures(6)):
        file = place / f"person{index % 2}" / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), crop)
    (place / "notes.txt").write_text("not a picture")
    return place


def test_read_pictures_of_a_folder_in_the_order_of_names(folder: Path) -> None:
    pictures = read_pictures([folder], 100)
    assert pictures.names == tuple(f"person{p}/{i}.png" for p in (0, 1) for i in (p, p + 2, p + 4))
    np.testing.assert_array_equal(pictures.crops[0], small_pictures(6)[0])


def test_read_pictures_of_a_tar_equals_the_folder(folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "crops.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(folder.rglob("*.png")):
            data = file.read_bytes()
            member = tarfile.TarInfo(file.relative_to(folder).as_posix())
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    one, two = read_pictures([folder], 100), read_pictures([archive], 100)
    assert one.names == two.names
    assert one.sha256 == two.sha256


def test_read_pictures_divides_the_limit_among_the_places(folder: Path) -> None:
    pictures = read_pictures([folder / "person0", folder / "person1"], 4)
    assert pictures.names == ("0.png", "2.png", "1.png", "3.png")


def test_read_pictures_of_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match="no pictures found in"):
        read_pictures([tmp_path], 10)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_bytes(b"no tar")])
def test_read_pictures_of_no_folder_and_no_tar_is_refused(tmp_path: Path, make) -> None:
    make(tmp_path / "crops.tar")
    with pytest.raises(CalibrationError, match=r"crops\.tar is neither a folder nor a whole tar file"):
        read_pictures([tmp_path / "crops.tar"], 10)


def test_read_pictures_of_another_size_names_the_file(folder: Path) -> None:
    cv2.imwrite(str(folder / "a.png"), np.zeros((112, 96, 3), np.uint8))
    with pytest.raises(CalibrationError, match=r"a\.png must be an aligned crop of 112 x 112 pixels, got 96 x 112"):
        read_pictures([folder], 10)


def test_read_pictures_of_a_broken_picture_names_the_file(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(CalibrationError, match=r"a\.png"):
        read_pictures([folder], 10)


def test_split_for_proof_shares_no_picture_and_divides_what_there_is(folder: Path) -> None:
    count = len(read_pictures([folder], 100).crops)
    known, searched, proof = split_for_proof([folder], count, count // 2, count // 2)  # twice what there is
    parts = [{name for name in part.names if " " not in name} for part in (known, searched, proof)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == count
    assert len(parts[2]) == round(count / 4)
    with pytest.raises(CalibrationError, match=f"{4 * count} pictures are wanted to calibrate, search and prove on"):
        split_for_proof([folder], 2 * count, count, count)


def test_with_damage_adds_a_damaged_copy_of_every_fourth(small_set: PictureSet) -> None:
    more = with_damage(small_set, every=4)
    assert len(more.crops) == len(small_set.crops) + 6
    np.testing.assert_array_equal(more.crops[:24], small_set.crops)
    assert more.names[24:26] == ("pattern 0 blur 1", "pattern 4 size 1")
    assert not np.array_equal(more.crops[24], small_set.crops[0])
