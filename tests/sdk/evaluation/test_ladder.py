from __future__ import annotations

import cv2
import numpy as np
import pytest

from qcface_sdk.errors import OptionError, ShapeError
from qcface_sdk.evaluation.ladder import KINDS, LADDER, LEVELS, UNITS, climb, degrade


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """Drawn face-like picture with edges, smooth shading and texture."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:112, :112]
    picture = np.stack([90 + x * 0.8, 60 + y * 0.9, 200 - x * 0.5], axis=2)
    picture += rng.normal(0, 6, picture.shape)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    for centre in ((38, 52), (74, 52), (56, 72)):
        cv2.circle(picture, centre, 6, (20, 20, 40), -1)
    cv2.line(picture, (42, 92), (71, 92), (40, 40, 160), 3)
    return picture


def test_table_every_kind_has_six_levels_and_a_unit() -> None:
    assert KINDS == ("blur", "size", "noise", "dark", "jpeg", "motion", "occlusion")
    assert all(len(LADDER[kind]) == LEVELS >= 6 for kind in KINDS)
    assert set(UNITS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_table_parameters_are_strictly_ordered(kind: str) -> None:
    steps = np.diff(LADDER[kind])
    assert (steps > 0).all() or (steps < 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_degrade_level_zero_returns_an_equal_copy(crop: np.ndarray, kind: str) -> None:
    same = degrade(crop, kind, 0, seed=5)
    assert np.array_equal(same, crop)
    assert not np.shares_memory(same, crop)


@pytest.mark.parametrize("kind", KINDS)
def test_climb_higher_level_lies_farther_from_clean(crop: np.ndarray, kind: str) -> None:
    rungs = climb(crop, kind, seed=5)
    assert rungs.shape == (LEVELS + 1, 112, 112, 3)
    assert rungs.dtype == np.uint8
    distance = [float(np.square(rung.astype(float) - crop).mean()) for rung in rungs]
    assert distance[0] == 0
    assert (np.diff(distance) > 0).all(), distance


@pytest.mark.parametrize("kind", KINDS)
def test_degrade_same_seed_repeats_and_leaves_input_alone(crop: np.ndarray, kind: str) -> None:
    before = crop.copy()
    assert np.array_equal(degrade(crop, kind, 4, seed=9), degrade(crop, kind, 4, seed=9))
    assert np.array_equal(crop, before)


@pytest.mark.parametrize("kind", ["noise", "dark", "motion", "occlusion"])
def test_degrade_other_seed_gives_other_pattern(crop: np.ndarray, kind: str) -> None:
    assert not np.array_equal(degrade(crop, kind, 4, seed=9), degrade(crop, kind, 4, seed=10))


def test_degrade_blur_equals_separable_gaussian(crop: np.ndarray) -> None:
    sigma, reach = LADDER["blur"][1], 12
    taps = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    padded = np.pad(crop.astype(float), ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    rows = sum(t * padded[i : i + 112] for i, t in enumerate(taps))
    both = sum(t * rows[:, i : i + 112] for i, t in enumerate(taps))
    # OpenCV cuts the kernel at three sigma and works in fixed point.
    assert np.abs(degrade(crop, "blur", 2, seed=0) - both).max() < 3


def test_degrade_noise_has_the_tabled_deviation() -> None:
    grey = np.full((112, 112, 3), 128, np.uint8)
    spread = degrade(grey, "noise", 3, seed=4).astype(float).std()
    # 37,632 samples: the standard error of the deviation is 0.4 %.
    assert spread == pytest.approx(LADDER["noise"][2], rel=0.02)


def test_degrade_dark_halves_linear_light_per_stop() -> None:
    grey = np.full((112, 112, 3), 200, np.uint8)
    for level, stops in enumerate(LADDER["dark"], start=1):
        dimmed = degrade(grey, "dark", level, seed=4).astype(float).mean()
        assert (dimmed / 200) ** 2.2 == pytest.approx(2.0**-stops, rel=0.02)


@pytest.mark.parametrize("level", range(1, LEVELS + 1))
def test_degrade_occlusion_covers_the_tabled_share_and_nests(level: int) -> None:
    zero = np.zeros((112, 112, 3), np.uint8)
    hidden = degrade(zero, "occlusion", level, seed=8).any(axis=2)
    assert hidden.mean() == pytest.approx(LADDER["occlusion"][level - 1], abs=0.01)
    assert not (degrade(zero, "occlusion", level - 1, seed=8).any(axis=2) & ~hidden).any()


@pytest.mark.parametrize("seed", range(6))
def test_degrade_motion_spreads_a_point_over_the_tabled_length(seed: int) -> None:
    point = np.zeros((112, 112, 3), np.uint8)
    point[56, 56] = 255
    weight = degrade(point, "motion", 4, seed=seed)[:, :, 0].astype(float)
    y, x = np.nonzero(weight > 0)
    reach = np.hypot(x.max() - x.min(), y.max() - y.min())
    assert reach == pytest.approx(LADDER["motion"][3] - 1, abs=2.0)


def test_degrade_works_on_a_strided_view(crop: np.ndarray) -> None:
    frame = np.zeros((112, 130, 3), np.uint8)
    frame[:, 9:121] = crop
    for kind in KINDS:
        assert np.array_equal(degrade(frame[:, 9:121], kind, 3, seed=2), degrade(crop, kind, 3, seed=2))


@pytest.mark.parametrize(
    "bad",
    [np.zeros((112, 112), np.uint8), np.zeros((112, 112, 3), np.float32), np.zeros((96, 96, 3), np.uint8), "crop"],
    ids=["grey", "float", "small", "text"],
)
def test_degrade_wrong_crop_raises_shape_error(bad: object) -> None:
    with pytest.raises(ShapeError, match="crop must be"):
        degrade(bad, "blur", 1, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "level", "seed"),
    [
        ("fog", 1, 0),
        ("blur", 7, 0),
        ("blur", -1, 0),
        ("blur", 1.5, 0),
        ("blur", True, 0),
        ("blur", 1, -1),
        ("blur", 1, "a"),
    ],
)
def test_degrade_bad_option_raises_option_error(crop: np.ndarray, kind: str, level: int, seed: int) -> None:
    with pytest.raises(OptionError):
        degrade(crop, kind, level, seed=seed)
