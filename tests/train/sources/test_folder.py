"""Image folders: identities are folder names, and what cannot be read is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoded_pictures import picture
from qcface_train.faces import UNLABELLED, DataError, RecordError, decode_record
from qcface_train.sources.folder import FolderSource


def write_folders(root: Path, people: dict[str, list[int]]) -> Path:
    for name, values in people.items():
        (root / name).mkdir(parents=True)
        for number, value in enumerate(values):
            (root / name / f"{number}.png").write_bytes(picture(value))
    return root


def test_folder_of_two_roots_gives_one_label_to_one_name(tmp_path: Path) -> None:
    first = write_folders(tmp_path / "train", {"b": [1, 2], "a": [3]})
    second = write_folders(tmp_path / "valid", {"b": [4], "c": [5]})
    (first / "b/notes.txt").write_text("no picture")
    source = FolderSource([first, second])
    assert source.labels.tolist() == [0, 1, 1, 1, 2]
    assert source.groups.tolist() == [0, 0, 0, 1, 1]
    assert [int(decode_record(source, row)[0, 0, 1]) for row in range(5)] == [3, 1, 2, 4, 5]


def test_folder_of_plain_pictures_has_no_labels(tmp_path: Path) -> None:
    (tmp_path / "x.JPG").write_bytes(picture(7, ending=".jpg"))
    assert FolderSource([tmp_path]).labels.tolist() == [UNLABELLED]


def test_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "train", {"a": [1]})
    before = FolderSource([root]).fingerprint()
    (root / "a/1.png").write_bytes(picture(2))
    assert FolderSource([root]).fingerprint() != before


def test_folder_without_pictures_or_vanished_ones_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        FolderSource([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture"):
        FolderSource([tmp_path / "empty"])
    source = FolderSource([write_folders(tmp_path / "train", {"a": [1]})])
    (tmp_path / "train/a/0.png").unlink()
    with pytest.raises(RecordError, match=r"0.png cannot be read"):
        source.fetch(0)
