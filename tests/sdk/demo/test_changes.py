from __future__ import annotations

import cv2
import numpy as np
import pytest

from qcface_sdk.demo.changes import changed_versions


@pytest.fixture
def image(noise_image: np.ndarray) -> np.ndarray:
    return noise_image


def _by_name(image: np.ndarray) -> dict[str, np.ndarray]:
    return {change.name: change.image for change in changed_versions(image)}


def test_changed_versions_begin_with_the_photograph_itself(image: np.ndarray) -> None:
    first = next(iter(changed_versions(image)))
    assert first.image is image


def test_changed_versions_are_pictures_that_differ_and_leave_the_original(image: np.ndarray) -> None:
    before = image.copy()
    versions = list(changed_versions(image))
    np.testing.assert_array_equal(image, before)
    assert len({change.name for change in versions}) == len(versions)
    for change in versions[1:]:
        assert change.image.dtype == np.uint8
        assert change.image.flags["C_CONTIGUOUS"]
        assert change.image.shape != image.shape or not np.array_equal(change.image, image)


def test_changed_versions_are_the_same_every_time(image: np.ndarray) -> None:
    first, second = _by_name(image), _by_name(image)
    for name, version in first.items():
        np.testing.assert_array_equal(version, second[name])


def test_changed_versions_mirrored_twice_is_the_photograph(image: np.ndarray) -> None:
    mirrored = _by_name(image)["Mirrored"]
    np.testing.assert_array_equal(_by_name(mirrored)["Mirrored"], image)


def test_changed_versions_are_as_much_smaller_as_they_say(image: np.ndarray) -> None:
    versions = _by_name(image)
    for divisor in (2, 3, 4):
        assert versions[f"{divisor} times smaller"].shape[0] == image.shape[0] // divisor


def test_changed_versions_lose_light_in_linear_terms(image: np.ndarray) -> None:
    dark = _by_name(image)["1/16 of the light"]
    light = (np.array([dark.mean(), image.mean()]) / 255) ** 2.2
    assert light[0] / light[1] == pytest.approx(1 / 16, rel=0.1)


def test_changed_versions_lose_detail_step_by_step(image: np.ndarray) -> None:
    versions = _by_name(image)
    sharp = [cv2.Laplacian(versions[f"Blurred, sigma {sigma} px"], cv2.CV_64F).var() for sigma in (2, 4, 7)]
    assert cv2.Laplacian(image, cv2.CV_64F).var() > sharp[0] > sharp[1] > sharp[2]
