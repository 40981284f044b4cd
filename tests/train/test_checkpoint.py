"""Checkpoints: the last good one survives whatever happens to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from qcface_train.checkpoint import CheckpointError, load_checkpoint, save_checkpoint  # noqa: E402


def test_save_checkpoint_then_load_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "new/checkpoint.pt"
    save_checkpoint(path, {"model": {"w": torch.arange(3.0)}, "step": 4})
    content = load_checkpoint(path)
    assert content["step"] == 4
    assert content["model"]["w"].tolist() == [0, 1, 2]
    assert [item.name for item in path.parent.iterdir()] == ["checkpoint.pt"]


def test_save_checkpoint_on_a_full_disk_keeps_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"model": {}, "step": 1})

    def full(content: object, file: object) -> None:
        file.write(b"half a checkpoint")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save_checkpoint(path, {"model": {}, "step": 2})
    assert load_checkpoint(path)["step"] == 1
    assert [item.name for item in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_load_checkpoint_of_unusable_files_raises(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(path)
    save_checkpoint(path, {"model": {"w": torch.zeros(1000)}, "step": 2})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)
    torch.save({"weights": 3}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of this package"):
        load_checkpoint(path)
