from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.detection import MAX_INPUT_PIXELS, Detector, DetectorLimits, input_scales
from qcface_sdk.errors import ModelFormatError, OptionError
from qcface_sdk.runtime import open_runner
from tiny_models import TINY_FACE_SIDE, tiny_detector, tiny_recognizer

LIMITS = DetectorLimits(smallest_face=16, largest_face=200)


def detector(min_face: float, limits: DetectorLimits = LIMITS) -> Detector:
    return Detector(open_runner(tiny_detector(), "onnxruntime", 1), limits, min_face)


def blob(width: int, height: int, centre: tuple[int, int], side: int) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    x, y = centre
    image[max(0, y - side // 2) : y + side // 2, max(0, x - side // 2) : x + side // 2] = 255
    return image


@given(
    width=st.integers(16, 4000),
    height=st.integers(16, 4000),
    min_face=st.floats(8, 500),
    face=st.floats(0, 1),
)
def test_input_scales_leave_no_face_size_out(width: int, height: int, min_face: float, face: float) -> None:
    try:
        scales = input_scales((width, height), min_face, LIMITS)
    except OptionError:
        assert width * height * min(2.0, 16 / min_face) ** 2 > MAX_INPUT_PIXELS
        return
    # any face between min_face and the largest that fits is inside the network's range at one scale
    largest = min(0.95 * width, 0.8 * height)
    smallest = max(min_face, 8.0)
    side = smallest + face * max(0.0, largest - smallest)
    if side <= largest:
        assert any(15.99 <= side * scale <= 200.01 for scale in scales)
    assert list(scales) == sorted(scales, reverse=True)


def test_input_scales_end_where_the_last_product_rounds_to_above_the_limit() -> None:
    limits = DetectorLimits(smallest_face=16, largest_face=300)
    assert all(len(input_scales((512, height), 16, limits)) <= 3 for height in range(400, 1200))
    # and where the network's range is so narrow that the scales could not come down at all
    assert len(input_scales((3000, 2000), 40, DetectorLimits(smallest_face=50, largest_face=90))) < 40


def test_input_scales_of_an_impossible_request_says_what_to_do() -> None:
    with pytest.raises(OptionError, match="raise min_face"):
        input_scales((8000, 8000), 8, LIMITS)


def test_detect_finds_a_blob_in_frame_pixels() -> None:
    # min_face 40 at 16 network pixels: scale 0.4, so the tiny detector's 80-pixel box is 200 frame pixels wide.
    found = detector(40).detect(blob(1280, 720, (600, 360), 160))
    assert len(found) == 1
    x1, y1, x2, y2 = found[0, :4]
    assert x2 - x1 == pytest.approx(TINY_FACE_SIDE / 0.4, rel=0.01)
    # the tiny network answers per cell of 32 network pixels
    assert abs((x1 + x2) / 2 - 600) <= 16 / 0.4
    assert abs((y1 + y2) / 2 - 360) <= 16 / 0.4
    assert 0.6 <= found[0, 14] <= 1


def test_detect_on_a_dark_frame_finds_nothing() -> None:
    assert detector(40).detect(np.zeros((720, 1280, 3), np.uint8)).shape == (0, 15)


def test_detect_searches_a_second_scale_for_close_faces() -> None:
    searched = detector(20, DetectorLimits(smallest_face=16, largest_face=200))
    assert len(searched.scales((1280, 720))) == 2


def test_detect_of_a_view_equals_a_copy() -> None:
    frame = blob(1280, 720, (600, 360), 160)
    view = frame[100:700, 200:1100]
    np.testing.assert_array_equal(detector(40).detect(view), detector(40).detect(view.copy()))


@pytest.mark.parametrize("size", [(16, 16), (17, 900), (900, 17), (33, 31)])
def test_detect_on_odd_sizes_returns_rows(size: tuple[int, int]) -> None:
    image = np.full((*size, 3), 255, np.uint8)
    rows = detector(16).detect(image)
    assert rows.shape[1] == 15
    assert np.isfinite(rows).all()


def test_detector_of_another_layout_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="YuNet"):
        Detector(open_runner(tiny_recognizer(), "onnxruntime", 1), LIMITS, 40)


@pytest.mark.parametrize("name", ["yunet_n_320.onnx", "yunet_n_dynamic.onnx"])
def test_detect_with_opencv_yunet_agrees_with_opencv(data_dir: Path, astronaut: np.ndarray, name: str) -> None:
    """The official network, through our decoding, finds what OpenCV's own FaceDetectorYN finds."""
    import cv2

    file = data_dir / "teachers" / name
    # 320 x 320 in both: the frame is square, so both see the same picture but for the resize filter.
    square = cv2.resize(astronaut, (320, 320), interpolation=cv2.INTER_AREA)
    ours = Detector(open_runner(file.read_bytes(), "onnxruntime", 1), DetectorLimits(), 10).detect(square)
    theirs = cv2.FaceDetectorYN.create(str(file), "", (320, 320), 0.6, 0.3).detect(square)[1]
    assert len(ours) == len(theirs) == 1
    x, y, w, h = theirs[0, :4]
    np.testing.assert_allclose(ours[0, :4], [x, y, x + w, y + h], atol=0.6)
    np.testing.assert_allclose(ours[0, 4:14], theirs[0, 4:14], atol=0.6)
    assert ours[0, 14] == pytest.approx(theirs[0, 14], abs=0.01)
