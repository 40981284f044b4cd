from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_sdk.errors import NotFiniteError, ShapeError
from qcface_sdk.evaluation.correlation import kendall, ladder_correlation, rank, spearman

paired = st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=2, max_size=40)


def test_rank_ties_share_their_mean() -> None:
    assert rank([10.0, 20.0, 20.0, 5.0]).tolist() == [2.0, 3.5, 3.5, 1.0]


def test_spearman_without_ties_equals_the_textbook_formula() -> None:
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with d = 0, 1, 1, 0, 0
    assert spearman([1, 2, 3, 4, 5], [1, 3, 2, 4, 5]) == pytest.approx(0.9)


@settings(max_examples=50, deadline=None)
@given(data=paired)
def test_kendall_any_data_equals_counting_pairs(data: list[tuple[int, int]]) -> None:
    agree = one = two = 0
    for i in range(len(data)):
        for j in range(i):
            a, b = np.sign(data[i][0] - data[j][0]), np.sign(data[i][1] - data[j][1])
            agree, one, two = agree + a * b, one + a * a, two + b * b
    found = kendall([a for a, _ in data], [b for _, b in data])
    if one and two:
        assert found == pytest.approx(agree / np.sqrt(one * two))
    else:
        assert np.isnan(found)


@settings(max_examples=50, deadline=None)
@given(data=paired)
def test_correlations_any_data_are_symmetric_bounded_and_flip_sign(data: list[tuple[int, int]]) -> None:
    one, two = [float(a) for a, _ in data], np.array([float(b) for _, b in data])
    for measure in (spearman, kendall):
        value = measure(one, two)
        if not np.isnan(value):
            assert -1 <= value <= 1
            assert measure(two, one) == pytest.approx(value)
            assert measure(one, -two) == pytest.approx(-value)
            assert measure(one, np.exp(two / 3)) == pytest.approx(value)


def test_kendall_longer_than_a_block_equals_a_reversed_copy() -> None:
    values = np.random.default_rng(0).permutation(2500)
    assert kendall(values, values) == 1.0
    assert kendall(values, -values) == -1.0


def test_ladder_correlation_by_hand() -> None:
    magnitudes = [[9.0, 7.0, 5.0, 1.0], [9.0, 5.0, 7.0, 1.0], [1.0, 2.0, 3.0, 4.0], [6.0, 6.0, 6.0, 6.0]]
    result = ladder_correlation(magnitudes, [0, 1, 2, 3])
    # Second face: d = 3, 0, 2... ranks 4 2 3 1 against 1 2 3 4: sum d^2 = 18, 1 - 6 * 18 / 60.
    assert result.per_face.tolist() == pytest.approx([-1.0, -0.8, 1.0, 0.0])
    assert result.mean == pytest.approx(-0.2)
    assert result.monotone_share == 0.25


def test_correlation_bad_arguments_raise_named_errors() -> None:
    with pytest.raises(ShapeError):
        spearman([1.0], [1.0])
    with pytest.raises(ShapeError):
        kendall([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(NotFiniteError):
        spearman([1.0, np.inf], [1.0, 2.0])
    with pytest.raises(ShapeError):
        ladder_correlation(np.ones((2, 3)), [0, 1])
    with pytest.raises(ShapeError, match="rise"):
        ladder_correlation(np.ones((2, 3)), [0, 2, 1])
    with pytest.raises(NotFiniteError):
        ladder_correlation([[1.0, np.nan]], [0, 1])
