from __future__ import annotations

import numpy as np

from qcface_sdk.camera.tamper import Sight, TamperWatch


def noise(rng: np.random.Generator, mean: float = 120, spread: float = 40) -> np.ndarray:
    return np.clip(rng.normal(mean, spread, (240, 320, 3)), 0, 255).astype(np.uint8)


def test_ordinary_pictures_are_clear(rng: np.random.Generator) -> None:
    watch = TamperWatch(1.0, 1.0)
    assert {watch.update(noise(rng), i / 10) for i in range(50)} == {Sight.CLEAR}


def test_a_dark_scene_with_structure_is_not_covered(rng: np.random.Generator) -> None:
    watch = TamperWatch(1.0, 1.0)
    assert watch.update(noise(rng, 20, 15), 0) is Sight.CLEAR
    assert watch.update(noise(rng, 20, 15), 5) is Sight.CLEAR


def test_covered_with_sensor_noise_is_black_after_a_while_and_clear_at_once(rng: np.random.Generator) -> None:
    watch = TamperWatch(2.0, 99.0)
    sights = [watch.update(noise(rng, 5, 2), i / 10) for i in range(40)]
    assert sights[:20] == [Sight.CLEAR] * 20
    assert sights[20:] == [Sight.BLACK] * 20
    assert watch.update(noise(rng), 4.1) is Sight.CLEAR


def test_blinded(rng: np.random.Generator) -> None:
    watch = TamperWatch(1.0)
    assert [watch.update(noise(rng, 250, 2), time) for time in (0, 1.2)][-1] is Sight.BLINDED


def test_frozen_and_thawed(rng: np.random.Generator) -> None:
    watch = TamperWatch(1.0, 5.0)
    picture = noise(rng)
    assert [watch.update(picture, time) for time in (0, 4.9, 5.0)] == [Sight.CLEAR, Sight.CLEAR, Sight.FROZEN]
    assert watch.update(noise(rng), 5.1) is Sight.CLEAR


def test_reconnect_and_another_size_begin_anew(rng: np.random.Generator) -> None:
    watch = TamperWatch(1.0, 5.0)
    picture = noise(rng)
    watch.update(picture, 0)
    watch.reset()
    assert watch.update(picture, 6) is Sight.CLEAR
    assert watch.update(picture[:200], 12) is Sight.CLEAR
