"""Rates by group against a count by hand, and what their intervals hold."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.errors import NotFiniteError, OptionError, ShapeError
from qcface_sdk.evaluation import rates_by_group


def drawn(rng: np.random.Generator, people: int, each: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    own = rng.normal(size=(people, 1, 16))
    rows = (own + noise * rng.normal(size=(people, each, 16))).reshape(-1, 16)
    return rows, np.repeat(np.arange(people), each)


def test_rates_are_those_of_a_count_by_hand(rng: np.random.Generator) -> None:
    rows, labels = drawn(rng, 200, 3, 0.8)
    groups = np.where(labels % 3 == 0, "near", "far")
    found = {one.name: one for one in rates_by_group(rows, labels, groups, 0.5, replicates=20)}
    assert list(found) == ["all", "far", "near"]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for name, one in found.items():
        inside = np.flatnonzero((groups == name) | (name == "all"))
        first, second = np.triu_indices(len(inside), 1)
        same = labels[inside[first]] == labels[inside[second]]
        matches = np.einsum("ij,ij->i", unit[inside[first]], unit[inside[second]]) >= 0.5
        assert one.fmr is not None
        assert one.fnmr is not None
        assert (one.fmr.comparisons, one.fnmr.comparisons) == ((~same).sum(), same.sum())
        assert one.fmr.value == pytest.approx(matches[~same].mean())
        assert one.fnmr.value == pytest.approx((~matches[same]).mean())
        assert (one.people, one.faces) == (len(np.unique(labels[inside])), len(inside))


def test_intervals_hold_the_rate_of_everybody_in_about_so_many_samples(rng: np.random.Generator) -> None:
    truth = rates_by_group(*drawn(rng, 1500, 2, 0.8), ["x"] * 3000, 0.5, replicates=1)[0]
    assert truth.fmr is not None
    assert truth.fnmr is not None
    held = np.zeros(2)
    for _ in range(60):
        one = rates_by_group(*drawn(rng, 60, 2, 0.8), ["x"] * 120, 0.5, replicates=100)[0]
        assert one.fmr is not None
        assert one.fnmr is not None
        for place, (rate, value) in enumerate(((one.fmr, truth.fmr.value), (one.fnmr, truth.fnmr.value))):
            held[place] += rate.interval[0] <= value <= rate.interval[1]
    assert (held / 60 >= 0.85).all()


def test_nothing_wrong_is_no_certainty_and_nothing_compared_is_no_rate() -> None:
    one, alone = rates_by_group(np.eye(4), [0, 1, 2, 3], ["a"] * 4, 0.5, replicates=20)[0], None
    assert one.fmr is not None
    assert (one.fmr.value, one.fmr.interval) == (0.0, (0.0, 0.5))
    assert one.fnmr is None
    alone = rates_by_group(np.ones((3, 4)), [7, 7, 7], ["a"] * 3, 0.5, replicates=20)[1]
    assert alone.fmr is None
    assert alone.fnmr is not None
    assert alone.fnmr.interval == (0.0, 1.0)


def test_bad_input_is_a_named_error() -> None:
    with pytest.raises(ShapeError, match="groups must be one per face"):
        rates_by_group(np.eye(3), [0, 1, 2], ["a"], 0.5)
    with pytest.raises(ShapeError, match="labels must be one per face"):
        rates_by_group(np.eye(3), [0], ["a"] * 3, 0.5)
    with pytest.raises(NotFiniteError):
        rates_by_group(np.zeros((3, 3)), [0, 1, 2], ["a"] * 3, 0.5)
    with pytest.raises(OptionError):
        rates_by_group(np.eye(3), [0, 1, 2], ["a"] * 3, 1.5)
