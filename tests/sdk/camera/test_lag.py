from __future__ import annotations

import numpy as np

from qcface_sdk.camera.lag import LagWatch


def test_steady_pictures_with_jitter_are_never_late(rng: np.random.Generator) -> None:
    watch = LagWatch(1.0)
    assert not any(watch.behind(i / 30, 1000 + i / 30 + rng.uniform(0, 0.3)) for i in range(500))


def test_slow_decoding_is_noticed_and_forgotten_once_caught_up() -> None:
    watch = LagWatch(1.0)
    slow = [watch.behind(i / 30, 50 + i / 20) for i in range(120)]
    assert not slow[0]
    assert slow[-1]
    assert not watch.behind(6.0, 56.1)


def test_a_slow_camera_clock_is_no_lag_even_after_a_day() -> None:
    watch = LagWatch(1.0)
    # 200 parts in a million over a day are 17 seconds.
    assert not any(watch.behind(i * 10 / 4 * (1 - 200e-6), i * 10 / 4) for i in range(34_560))


def test_a_jump_of_the_camera_clock_starts_anew() -> None:
    watch = LagWatch(1.0)
    assert not watch.behind(1_000_000.0, 10.0)
    assert not watch.behind(3.0, 10.1)
    assert not watch.behind(3.1, 10.2)
