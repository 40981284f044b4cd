"""Thresholds between measured rates, at them, and outside them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import ThresholdUnavailableError
from qcface_sdk.manifest import ThresholdRow
from qcface_sdk.thresholds import threshold_at
from tiny_models import tiny_thresholds

# Supported: 0.2, 0.3, 0.4, 0.5 at 1e-2 ... 1e-5; not supported: 0.6 at 1e-6.
ROWS = tuple(row for row in tiny_thresholds() if row.runtime == "onnxruntime")


@pytest.mark.parametrize("power", [2, 3, 4, 5])
def test_threshold_at_a_measured_rate_is_that_row(power: int) -> None:
    row = threshold_at(ROWS, float(f"1e-{power}"))
    assert row in ROWS
    assert row.threshold == power / 10


def test_threshold_at_the_geometric_middle_is_the_arithmetic_middle() -> None:
    row = threshold_at(ROWS, math.sqrt(1e-3 * 1e-4))
    assert row.threshold == pytest.approx(0.35)
    assert row.interval == pytest.approx((0.34, 0.36))
    assert row.fnmr == pytest.approx(0.035)
    assert row.supported
    assert "interpolated" in row.origin


def test_threshold_at_between_rows_states_the_smaller_counts() -> None:
    rows = [replace(row, impostors=row.impostors + index, genuines=99 - index) for index, row in enumerate(ROWS)]
    row = threshold_at(rows, 5e-3)
    assert (row.impostors, row.genuines) == (rows[0].impostors, rows[1].genuines)


@given(st.floats(1e-5, 1e-2))
def test_threshold_at_any_rate_inside_is_linear_in_its_logarithm(fmr: float) -> None:
    # The four supported rows lie on the line threshold = -log10(fmr) / 10.
    assert threshold_at(ROWS, fmr).threshold == pytest.approx(-math.log10(fmr) / 10, abs=1e-9)


@given(st.lists(st.floats(1e-5, 1e-2), min_size=2, max_size=8))
def test_threshold_at_a_stricter_rate_is_never_lower(rates: list[float]) -> None:
    thresholds = [threshold_at(ROWS, rate).threshold for rate in sorted(rates)]
    assert all(first >= second - 1e-12 for first, second in pairwise(thresholds))


@given(st.permutations(ROWS))
def test_threshold_at_ignores_the_order_of_the_rows(rows: list[ThresholdRow]) -> None:
    assert threshold_at(rows, 3e-4) == threshold_at(ROWS, 3e-4)


@pytest.mark.parametrize("fmr", [0.5, 0.0101, 9.9e-6, 1e-7])
def test_threshold_at_outside_the_supported_rates_lists_them(fmr: float) -> None:
    with pytest.raises(ThresholdUnavailableError, match="available: 1e-05, 0.0001, 0.001, 0.01"):
        threshold_at(ROWS, fmr)


def test_threshold_at_an_unsupported_row_says_how_few_pairs() -> None:
    with pytest.raises(ThresholdUnavailableError, match="1,000,000 impostor pairs are too few"):
        threshold_at(ROWS, 1e-6)


def test_threshold_at_without_a_supported_row_says_so() -> None:
    with pytest.raises(ThresholdUnavailableError, match="no row is supported"):
        threshold_at([replace(row, supported=False) for row in ROWS], 5e-3)
