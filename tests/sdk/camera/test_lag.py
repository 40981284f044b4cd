from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.parametrize("step", [-4.5, -3.0, -1.2, 3.0])
def test_a_small_step_of_the_camera_clock_is_no_lag(step: float) -> None:
    watch = LagWatch(1.0)
    assert not any(watch.behind(100 + i / 10 + (step if i >= 50 else 0), i / 10) for i in range(200))


def test_packets_of_pictures_that_are_shown_in_another_order_hide_no_lag() -> None:
    watch = LagWatch(1.0)
    order = [4 * group + place for group in range(60) for place in (3, 1, 0, 2)]
    late = [watch.behind(place / 10, 50 + number / 8) for number, place in enumerate(order)]
    assert not late[0]
    assert all(late[120:])


def test_a_jump_of_the_camera_clock_starts_anew() -> None:
    watch = LagWatch(1.0)
    assert not watch.behind(1_000_000.0, 10.0)
    assert not watch.behind(3.0, 10.1)
    assert not watch.behind(3.1, 10.2)
