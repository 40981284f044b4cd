"""The checkpoint kept for going on with the detector is the one the shipped detector came from."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from qcface_export.detector_from_torch import export_detector
from qcface_sdk import Bundle

CHECKPOINT = Path(__file__).resolve().parents[2] / "train/weights/detector.pt"


def test_export_of_the_kept_checkpoint_is_the_shipped_detector(tmp_path: Path) -> None:
    export_detector(CHECKPOINT, tmp_path / "detector.onnx")
    bundle = Bundle.load()
    assert (tmp_path / "detector.onnx").read_bytes() == bundle.read(bundle.manifest.detector.file)
