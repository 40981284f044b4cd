"""The order of epochs: every row once an epoch, the same at every time of asking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_train.order import EpochOrder, mixed_seed

ROWS = np.arange(100, 130)
GROUPS = np.repeat(np.arange(6), 5)


@given(window=st.integers(0, 7), start=st.integers(0, 90), count=st.integers(1, 40))
def test_take_is_a_part_of_one_endless_order(window: int, start: int, count: int) -> None:
    whole = EpochOrder(ROWS, GROUPS, window, 3).take(0, 150)
    assert np.array_equal(EpochOrder(ROWS, GROUPS, window, 3).take(start, count), whole[start : start + count])
    for epoch in range(5):
        assert sorted(whole[30 * epoch : 30 * (epoch + 1)]) == ROWS.tolist()
    assert whole[:30].tolist() != whole[30:60].tolist()


def test_take_with_a_window_stays_within_so_many_files() -> None:
    files = GROUPS[EpochOrder(ROWS, GROUPS, 2, 1).take(0, 30) - 100]
    for start in range(0, 30, 10):
        assert len(set(files[start : start + 10])) == 2
    assert len(set(files[:5])) == 2  # mixed inside the window


def test_order_with_groups_of_another_length_raises() -> None:
    with pytest.raises(ValueError, match="a group for each"):
        EpochOrder(ROWS, GROUPS[:3], 0, 1)


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4))
def test_mixed_seed_fits_a_generator_and_depends_on_every_number(numbers: list[int]) -> None:
    seed = mixed_seed(*numbers)
    assert 0 <= seed < 2**64
    assert seed == mixed_seed(*numbers)
    assert all(seed != mixed_seed(*numbers[:i], numbers[i] + 1, *numbers[i + 1 :]) for i in range(len(numbers)))
