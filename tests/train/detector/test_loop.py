"""Training: the loss falls, and a resumed run equals an uninterrupted one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_faces import BlindTeacher, drawn_photo

from qcface_train.detector.arguments import DetectorArguments
from qcface_train.detector.layout import OUTPUT_NAMES, decode
from qcface_train.detector.loop import CHECKPOINT, DetectorTraining, rate_factor


def training(folder: Path, **changes: object) -> DetectorTraining:
    settings = DetectorArguments(
        output=str(folder), steps=60, batch=60, sides=(64,), warmup=5, learning_rate=1e-2, average=0.9, bfloat16=False
    ).changed(**changes)
    return DetectorTraining(settings, [drawn_photo(seed) for seed in range(3)], BlindTeacher())  # type: ignore[arg-type]


def test_train_step_on_drawn_faces_loss_falls(tmp_path: Path) -> None:
    run = training(tmp_path, batch=1, sides=(96,))
    values = [float(losses.score + losses.box + losses.points) for losses in (run.train_step() for _ in range(50))]
    assert np.mean(values[-8:]) < 0.6 * np.mean(values[:8])


def test_resume_after_interruption_gives_the_same_weights(tmp_path: Path) -> None:
    whole = training(tmp_path / "whole", batch=1)
    whole.run(until=6)
    half = training(tmp_path / "half", batch=1)
    half.run(until=3)
    again = training(tmp_path / "half", batch=1)
    assert again.resume(tmp_path / "half")
    again.run(until=6)
    assert again.step == 6
    for name, value in whole.average.state_dict().items():
        assert torch.equal(value, again.average.state_dict()[name]), name
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


def test_resume_without_checkpoint_says_no(tmp_path: Path) -> None:
    assert training(tmp_path, batch=1).resume(tmp_path) is False


def test_save_leaves_no_scratch_file(tmp_path: Path) -> None:
    training(tmp_path, batch=1).save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_rate_factor_warms_up_and_ends_at_one_percent() -> None:
    assert rate_factor(0, 100, 10) == pytest.approx(0.1)
    assert rate_factor(10, 100, 10) == pytest.approx(1.0)
    assert rate_factor(100, 100, 10) == pytest.approx(0.01)


def test_forward_agrees_with_raw_and_decodes(tmp_path: Path) -> None:
    network = training(tmp_path, batch=1).average
    picture = torch.from_numpy(drawn_photo(1).picture).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        outputs = dict(zip(OUTPUT_NAMES, (value.numpy() for value in network(picture)), strict=True))
        raw = network.raw(picture).numpy()
    joined = np.concatenate([outputs[f"bbox_{stride}"] for stride in (8, 16, 32)], axis=1)
    np.testing.assert_allclose(joined, raw[..., 1:5], atol=1e-6)
    np.testing.assert_array_equal(outputs["cls_8"], outputs["obj_8"])
    assert len(decode(outputs, (160, 160), score_threshold=0.0).scores) > 0
