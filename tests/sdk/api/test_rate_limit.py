from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.api.rate_limit import RateLimit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_burst_then_wait_then_one_more() -> None:
    clock = Clock()
    limit = RateLimit(60, clock)
    assert [limit.take("a") for _ in range(15)] == [0.0] * 15
    wait = limit.take("a")
    assert wait == 1.0
    clock.now += wait
    assert limit.take("a") == 0.0
    assert limit.take("a") > 0


def test_names_do_not_share_a_bucket() -> None:
    limit = RateLimit(4, Clock())
    assert limit.take("a") == 0
    assert limit.take("a") > 0
    assert limit.take("b") == 0


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.floats(1, 600))
def test_never_more_than_burst_plus_rate(pauses: list[float], per_minute: float) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += limit.take("a") == 0
    assert passed <= max(1.0, per_minute / 4) + clock.now * per_minute / 60 + 1e-6


def test_memory_is_bounded() -> None:
    limit = RateLimit(60, Clock())
    for number in range(10_050):
        limit.take(str(number))
    assert len(limit._buckets) == 10_000
