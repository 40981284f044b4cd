from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.backoff import Backoff


@given(seed=st.integers(), first=st.floats(0.01, 5), factor=st.floats(1, 100), count=st.integers(1, 60))
def test_delays_double_up_to_the_longest_with_jitter(seed: int, first: float, factor: float, count: int) -> None:
    backoff = Backoff(first, first * factor, random.Random(seed))
    for failure in range(count):
        ceiling = min(first * factor, first * 2.0**failure)
        assert ceiling / 2 <= backoff.next() <= ceiling
    assert backoff.failures == count


def test_two_cameras_do_not_connect_in_step() -> None:
    a, b = (Backoff(1, 30, random.Random(seed)) for seed in (1, 2))
    assert [a.next() for _ in range(8)] != [b.next() for _ in range(8)]


def test_reset_begins_anew_and_a_year_of_failures_does_not_overflow() -> None:
    backoff = Backoff(1.0, 30.0)
    delays = [backoff.next() for _ in range(5000)]
    assert max(delays) <= 30.0
    backoff.reset()
    assert backoff.next() <= 1.0
