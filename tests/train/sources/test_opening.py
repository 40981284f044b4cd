"""Patterns to sources: each kind by its name, labels that never mix."""

from __future__ import annotations

from pathlib import Path

import pytest

from encoded_pictures import picture, write_recordio, write_shard
from qcface_train.faces import UNLABELLED, DataError, decode_record
from qcface_train.sources.opening import open_source


def test_open_source_joins_all_kinds_with_labels_of_their_own(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [("x", {"png": picture(1), "cls": b"2"}), ("y", {"png": picture(2)})])
    write_recordio(tmp_path / "rec", [(0, picture(3)), (1, picture(4))])
    (tmp_path / "people/anna").mkdir(parents=True)
    (tmp_path / "people/anna/1.png").write_bytes(picture(5))
    source = open_source(["*.tar", "people", "rec"], tmp_path)
    assert source.labels.tolist() == [2, UNLABELLED, 3, 4, 5]
    assert source.groups.tolist() == [0, 0, 1, 2, 2]
    assert [int(decode_record(source, row)[0, 0, 1]) for row in range(5)] == [1, 2, 5, 3, 4]
    assert "anna" in source.key(2)
    assert source.fingerprint() != open_source(["*.tar", "rec"], tmp_path).fingerprint()


def test_open_source_that_matches_nothing_or_cannot_be_mixed_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"matches 'none\*'"):
        open_source(["none*"], tmp_path)
    write_shard(tmp_path / "empty.tar", [])
    with pytest.raises(DataError, match="no usable picture"):
        open_source(["*.tar"], tmp_path)
    write_shard(tmp_path / "a.tar.gz", [("x", {"png": picture(1)})])
    with pytest.raises(DataError, match=r"set data.window"):
        open_source(["*.gz"], tmp_path, mixed=True)
    assert len(open_source(["*.gz"], tmp_path, window=1, mixed=True).labels) == 1
