from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk.errors import ImageReadError, InputError
from qcface_train.evaluation.lfw import read_lfw, read_pairs

NAMES = ["Ann_Lee_0001", "Ann_Lee_0002", "Bo_0001", "Bo_0002"]
PAIRS = "1\t2\nAnn_Lee\t1\t2\nBo\t1\t2\nAnn_Lee\t1\tBo\t2\nAnn_Lee\t2\tBo\t1\n"


def picture(value: int, side: int = 112) -> bytes:
    return cv2.imencode(".png", np.full((side, side, 3), (value, 0, 255), np.uint8))[1].tobytes()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "set.tar"
    with tarfile.open(path, "w") as tar:
        for value, name in enumerate(NAMES):
            data = picture(value)
            member = tarfile.TarInfo(f"{name[:-5]}/{name}.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (tmp_path / "pairs.txt").write_text(PAIRS)
    return path


def test_read_lfw_tar_gives_bgr_crops_subjects_and_pairs(archive: Path) -> None:
    faces = read_lfw(archive)
    assert faces.names == tuple(NAMES)
    assert faces.subjects.tolist() == ["Ann_Lee", "Ann_Lee", "Bo", "Bo"]
    assert faces.crops.shape == (4, 112, 112, 3)
    assert faces.crops[2, 0, 0].tolist() == [2, 0, 255]
    assert faces.pairs.tolist() == [[0, 1], [2, 3], [0, 3], [1, 2]]
    assert faces.same.tolist() == [True, True, False, False]
    assert faces.folds == 1


def test_read_lfw_folder_of_the_tar_and_unpacked_folder_give_the_same(archive: Path, tmp_path: Path) -> None:
    unpacked = tmp_path / "unpacked"
    with tarfile.open(archive) as tar:
        for member in tar:
            place = unpacked / member.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(tar.extractfile(member).read())
    expected, folder, files = read_lfw(archive), read_lfw(archive.parent), read_lfw(unpacked)
    assert np.array_equal(folder.crops, expected.crops)
    assert np.array_equal(files.crops, expected.crops)
    assert (files.folds, len(files.pairs)) == (0, 0)


def test_read_lfw_missing_empty_broken_or_unaligned_raises_image_read_error(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match="does not exist"):
        read_lfw(tmp_path / "none")
    with pytest.raises(ImageReadError, match="no pictures"):
        read_lfw(tmp_path)
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    with pytest.raises(ImageReadError, match="no whole tar"):
        read_lfw(tmp_path / "broken.tar")
    folder = tmp_path / "big" / "Bo"
    folder.mkdir(parents=True)
    (folder / "Bo_0001.png").write_bytes(picture(1, side=128))
    with pytest.raises(ImageReadError, match="112 x 112"):
        read_lfw(tmp_path / "big")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must start with"),
        ("ten 300\n", "must start with"),
        ("1 1\nBo 1\nBo 2 Ann_Lee 1\n", "line 2"),
        ("1 1\nBo 1 2\nBo 7 Ann_Lee 1\n", "Bo_0007"),
        ("1 2\nBo 1 2\nBo 1 Ann_Lee 1\n", "must hold 4 pairs"),
    ],
)
def test_read_pairs_malformed_list_raises_input_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(path, NAMES)
