from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from qcface_sdk.errors import ModelFormatError, ModelNotFoundError, OptionError
from qcface_train.evaluation.recognizer import Recognizer, measure_peer
from tiny_models import tiny_bundle, tiny_detector, tiny_recognizer


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), dtype=np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "recognizer.onnx"
    path.write_bytes(tiny_recognizer())
    return path


def test_embed_onnx_file_equals_the_runtime_on_normalised_rgb(model: Path, crops: np.ndarray) -> None:
    session = onnxruntime.InferenceSession(model.read_bytes())
    feed = ((crops[..., ::-1].astype(np.float32) - 127.5) / 127.5).transpose(0, 3, 1, 2)
    expected = session.run(None, {"input": np.ascontiguousarray(feed)})[0]
    recognizer = Recognizer(model, batch=2)
    np.testing.assert_allclose(recognizer.embed(crops), expected, atol=1e-5)
    recognizer.close()


def test_embed_bundle_equals_its_onnx_file(tmp_path: Path, model: Path, crops: np.ndarray) -> None:
    tiny_bundle(tmp_path / "bundle")
    bundle = Recognizer(tmp_path / "bundle")
    np.testing.assert_allclose(bundle.embed(crops), Recognizer(model).embed(crops), atol=1e-6)
    assert bundle.artifact == "recognizer-fp32"


def test_recognizer_takes_the_limits_of_an_onnx_file_and_a_bundles_own(tmp_path: Path, model: Path) -> None:
    given = Recognizer(model, limits=(10.0, 60.0))
    assert (given.la, given.ua) == (10, 60)
    tiny_bundle(tmp_path / "bundle")
    with pytest.raises(OptionError, match="is a bundle and states its own"):
        Recognizer(tmp_path / "bundle", limits=(10.0, 60.0))
    with pytest.raises(OptionError, match="got 100.0 and 60.0"):
        Recognizer(model, limits=(100.0, 60.0))


def test_recognizer_missing_or_foreign_file_raises_named_error(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        Recognizer(tmp_path / "none.onnx")
    detector = tmp_path / "detector.onnx"
    detector.write_bytes(tiny_detector())
    with pytest.raises(ModelFormatError, match="must map"):
        Recognizer(detector)


def test_measure_peer_missing_file_names_it(tmp_path: Path, crops: np.ndarray) -> None:
    with pytest.raises(ModelNotFoundError, match="lightqnet_dm100"):
        measure_peer("lightqnet", tmp_path, crops)
