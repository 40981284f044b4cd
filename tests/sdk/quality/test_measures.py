from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from qcface_sdk.alignment import align
from qcface_sdk.engine import FaceEngine
from qcface_sdk.evaluation import degrade
from qcface_sdk.quality import MEASURES
from qcface_sdk.quality.brightness import mean_luma
from qcface_sdk.quality.colour import colourfulness
from qcface_sdk.quality.contrast import entropy_bits
from qcface_sdk.quality.covering import eye_structure, mouth_structure
from qcface_sdk.quality.cut_off import share_inside
from qcface_sdk.quality.exposure import clipped_share
from qcface_sdk.quality.face_size import shorter_side
from qcface_sdk.quality.sharpness import fine_detail
from qcface_sdk.quality.view import FaceView
from qcface_sdk.results import Face


@pytest.fixture(scope="module")
def crop(engine: FaceEngine, astronaut: np.ndarray) -> np.ndarray:
    return align(astronaut, engine.detect(astronaut)[0].kps)[0]


def of(crop: np.ndarray) -> FaceView:
    return FaceView.of_crop(crop)


def flat(level: int) -> FaceView:
    return of(np.full((112, 112, 3), level, np.uint8))


def at(box: tuple[float, ...], size: tuple[int, int] = (100, 80)) -> FaceView:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    return FaceView.of(image, Face(np.array(box, np.float32), np.zeros((5, 2), np.float32), 1.0), None)


def test_names_are_different_and_each_has_a_word() -> None:
    assert len({measure.name for measure in MEASURES}) == len(MEASURES)
    for measure in MEASURES:
        assert measure.low.reason.replace("_", "").isalpha()


def test_size_is_the_shorter_side() -> None:
    assert shorter_side(at((10, 20, 50, 90))) == 40


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ((-0.5, -0.5, 99.5, 79.5), 1.0),
        ((20, 20, 60, 60), 1.0),
        ((-20.5, 10, 19.5, 30), 0.5),
        ((79.5, 59.5, 119.5, 99.5), 0.25),
        ((200, 10, 220, 30), 0.0),
    ],
)
def test_share_inside_counts_pixel_centres(box: tuple[float, ...], share: float) -> None:
    assert share_inside(at(box)) == pytest.approx(share)


def test_box_without_area_is_not_assessed() -> None:
    assert share_inside(at((10, 10, 10, 30))) is None


@pytest.mark.parametrize("level", [0, 77, 255])
def test_flat_face_has_its_level_and_no_detail(level: int) -> None:
    view = flat(level)
    assert mean_luma(view) == pytest.approx(level, abs=0.5)
    assert entropy_bits(view) == 0
    assert fine_detail(view) == 0
    assert eye_structure(view) is None
    assert colourfulness(view) == 0


def test_clipped_share_has_the_sign_of_what_is_clipped() -> None:
    assert clipped_share(flat(255)) == 1
    assert clipped_share(flat(0)) == -1
    assert clipped_share(flat(128)) == 0


def test_entropy_of_equally_many_levels_is_their_logarithm() -> None:
    ramp = np.tile(np.arange(112, dtype=np.uint8)[None, :] % 16 * 10, (112, 1))
    assert entropy_bits(of(cv2.merge([ramp] * 3))) == pytest.approx(4.0, abs=0.02)


@pytest.mark.parametrize("kind", ["blur", "size", "motion"])
def test_detail_falls_with_every_level_of_softening(crop: np.ndarray, kind: str) -> None:
    read = [fine_detail(of(degrade(crop, kind, level, seed=1))) for level in range(7)]
    assert read == sorted(read, reverse=True)


def test_detail_does_not_depend_on_light(crop: np.ndarray) -> None:
    dim = (crop * 0.5).astype(np.uint8)
    assert fine_detail(of(dim)) == pytest.approx(fine_detail(of(crop)), rel=0.05)


def test_covering_lowers_the_part_that_is_covered(crop: np.ndarray) -> None:
    masked, shaded = crop.copy(), crop.copy()
    masked[70:] = (180, 150, 120)
    shaded[40:64, 20:92] = 20
    assert mouth_structure(of(masked)) < 0.6 * mouth_structure(of(crop))
    assert eye_structure(of(shaded)) < eye_structure(of(crop))


def test_grey_picture_has_no_colour(crop: np.ndarray) -> None:
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    assert colourfulness(of(grey)) == 0
    assert colourfulness(of(crop)) > 4


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_every_measure_survives_noise_and_a_missing_crop(measure: Any, rng: np.random.Generator) -> None:
    noise = of(rng.integers(0, 256, (112, 112, 3), np.uint8))
    value = measure.read(noise)
    assert value is None or np.isfinite(value)
    assert measure.read(at((10, 20, 50, 60))) is None or measure.name in ("face_size", "cut_off")
