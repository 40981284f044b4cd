from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liveness_networks import tiny_network
from qcface_sdk import Face, FaceEngine, InferenceError, ModelFormatError, ModelNotFoundError, OptionError
from qcface_sdk.camera import MiniFasNet
from qcface_sdk.camera.minifasnet import margin_crop

FACE = Face(np.array([40, 30, 100, 110]), np.zeros((5, 2)), 0.9)
IMAGE = np.full((200, 300, 3), 90, np.uint8)


def test_scores_are_softmax_averaged_over_networks(tmp_path: Path) -> None:
    one = tiny_network(tmp_path / "2.7_a.onnx", (0.0, 2.0, 0.0))
    two = tiny_network(tmp_path / "4.0_b.onnx", (1.0, 0.0, -1.0))
    wanted = np.mean([np.exp(b[1]) / np.exp(b).sum() for b in (np.array([0.0, 2, 0]), np.array([1.0, 0, -1]))])
    assert MiniFasNet([one, two]).score(IMAGE, FACE) == pytest.approx(float(wanted), abs=1e-6)


def test_nan_is_an_error_and_never_a_score(tmp_path: Path) -> None:
    check = MiniFasNet([tiny_network(tmp_path / "2.7.onnx", (float("nan"), 0.0, 0.0))])
    with pytest.raises(InferenceError):
        check.score(IMAGE, FACE)


def test_what_is_no_such_network_is_refused(tmp_path: Path) -> None:
    good = tiny_network(tmp_path / "2.7.onnx")
    with pytest.raises(OptionError, match="margin"):
        MiniFasNet([good.rename(tmp_path / "network.onnx")])
    with pytest.raises(ModelNotFoundError):
        MiniFasNet([tmp_path / "2.7_none.onnx"])
    (tmp_path / "2.7_bad.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelFormatError):
        MiniFasNet([tmp_path / "2.7_bad.onnx"])
    with pytest.raises(ModelFormatError, match="3 numbers"):
        MiniFasNet([tiny_network(tmp_path / "2.7_four.onnx", (0.0, 0.0, 0.0, 0.0))])
    for none in ([], "2.7.onnx"):
        with pytest.raises(OptionError):
            MiniFasNet(none)  # type: ignore[arg-type]


@given(
    x=st.floats(-20, 300),
    y=st.floats(-20, 200),
    w=st.floats(2, 250),
    h=st.floats(2, 190),
    scale=st.sampled_from([2.7, 4]),
)
def test_crops_always_lie_in_the_picture(x: float, y: float, w: float, h: float, scale: float) -> None:
    crop = margin_crop(IMAGE, Face(np.array([x, y, x + w, y + h]), np.zeros((5, 2)), 0.9), scale)
    assert crop.shape == (80, 80, 3)
    assert (crop == 90).all()


def test_margin_is_about_the_face() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[180:220, 180:220] = 255
    crop = margin_crop(image, Face(np.array([180, 180, 219, 219]), np.zeros((5, 2)), 0.9), 2.7)
    share = float((crop > 127).mean())
    assert abs(share - 1 / 2.7**2) < 0.03
    assert crop[40, 40].all()


def test_real_networks_call_an_ordinary_photograph_living(
    data_dir: Path, engine: FaceEngine, astronaut: np.ndarray
) -> None:
    files = sorted((data_dir / "teachers").glob("minifasnet*.onnx"))
    assert len(files) == 2
    score = MiniFasNet(files).score(astronaut, engine.detect(astronaut)[0])
    assert 0 <= score <= 1
    assert score > 0.5
