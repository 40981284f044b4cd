from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcface_sdk.benchmark import stages
from qcface_sdk.benchmark.stages import measure_stages
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ImageSizeError, ShapeError
from tiny_models import tiny_bundle


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> FaceEngine:
    return FaceEngine(tiny_bundle(tmp_path_factory.mktemp("stages") / "bundle"))


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "_QUICK_SECONDS", 0.0)


def test_measure_stages_times_each_stage_several_times(engine: FaceEngine, noise_image: np.ndarray) -> None:
    found = measure_stages(engine, picture=noise_image, quick=True)
    assert len({(stage.name, stage.what) for stage in found}) == len(found) == 9
    assert all(stage.runs >= 5 and 0 < stage.median_ms <= stage.p90_ms for stage in found)


def test_measure_stages_leaves_the_picture_untouched(engine: FaceEngine, noise_image: np.ndarray) -> None:
    before = noise_image.copy()
    measure_stages(engine, picture=noise_image, quick=True)
    np.testing.assert_array_equal(noise_image, before)


def test_measure_stages_whole_way_takes_longer_than_its_networks(engine: FaceEngine, noise_image: np.ndarray) -> None:
    noise_image[:] = 20
    noise_image[104:184, 136:216] = (60, 255, 255)
    found = {stage.name: stage for stage in measure_stages(engine, picture=noise_image, quick=True)}
    assert "1 found as faces" in found["all: engine.get"].what
    assert found["all: engine.get"].p90_ms > found["detect: decode, NMS"].median_ms


@pytest.mark.parametrize(
    ("picture", "error"),
    [(np.zeros((100, 100), np.uint8), ShapeError), (np.zeros((4, 4, 3), np.uint8), ImageSizeError)],
    ids=["grey", "tiny"],
)
def test_measure_stages_of_no_picture_is_refused(engine: FaceEngine, picture: np.ndarray, error: type) -> None:
    with pytest.raises(error):
        measure_stages(engine, picture=picture, quick=True)


def test_measure_stages_of_another_detector_uses_the_limits_of_foreign_files(
    engine: FaceEngine, noise_image: np.ndarray, tmp_path: Path
) -> None:
    file = tmp_path / "other.onnx"
    file.write_bytes(engine.bundle.read("detector.fp32.onnx"))
    own, other = (
        measure_stages(engine, picture=noise_image, quick=True, detector=detector)[2].what for detector in (None, file)
    )
    assert own.startswith("480 x 320")
    assert other != own
