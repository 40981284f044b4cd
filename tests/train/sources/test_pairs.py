"""Verification pairs of ``.bin`` files, and a pickle that must not be executed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from encoded_pictures import picture
from qcface_train.faces import DataError
from qcface_train.sources.pairs import open_pairs


def test_open_pairs_gives_pictures_in_rgb_and_truth(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    for protocol in (2, 4):
        path.write_bytes(pickle.dumps(([picture(value) for value in (1, 2, 3, 4)], [True, False]), protocol=protocol))
        pairs = open_pairs(path)
        assert pairs.first[:, 0, 0].tolist() == [[200, 1, 1], [200, 3, 3]]
        assert pairs.second[:, 0, 0, 1].tolist() == [2, 4]
        assert pairs.same.tolist() == [True, False]
        assert (len(pairs), pairs.skipped) == (2, 0)


def test_open_pairs_skips_damaged_pairs_and_counts_them(tmp_path: Path) -> None:
    good, cut = picture(1), picture(2, ending=".jpg")[:-40]
    content = ([good, good, good, cut, picture(1, side=96), good], [True, True, False])
    (tmp_path / "x.bin").write_bytes(pickle.dumps(content))
    pairs = open_pairs(tmp_path / "x.bin")
    assert (len(pairs), pairs.skipped) == (1, 2)


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


def test_open_pairs_never_executes_a_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([Attack(), Attack()], [True])))
    with pytest.raises(DataError, match=r"asks for posix.system"):
        open_pairs(tmp_path / "x.bin")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", pickle.dumps([1]), pickle.dumps(([b"a"], [True])), pickle.dumps((["a", "b"], [True]))],
    ids=["empty", "junk", "shape", "odd", "text"],
)
def test_open_pairs_of_something_else_raises(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(DataError, match="not a file of verification pairs"):
        open_pairs(tmp_path / "x.bin")
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([b"a", b"b"], [True])))
    with pytest.raises(DataError, match="no whole pair"):
        open_pairs(tmp_path / "x.bin")


def test_open_pairs_of_the_sample(data_dir: Path) -> None:
    pairs = open_pairs(data_dir / "samples/lfw_sample.bin")
    assert (len(pairs), int(pairs.same.sum()), pairs.skipped) == (200, 100, 0)
