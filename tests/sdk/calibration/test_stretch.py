"""What fused templates ask of thresholds: measured on some people, it keeps the rate among others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.calibration.stretch import measure_stretch
from qcface_sdk.errors import InputError, ManifestError, NotFiniteError, OptionError, ShapeError
from qcface_sdk.matching import ask_more
from qcface_sdk.measurements import FusedStretch

DIMENSION = 48
PEOPLE = 240


def people(rng: np.random.Generator, each: int) -> np.ndarray:
    """Unit embeddings (PEOPLE, each, D) of people who share some of their looks, in pictures that do not."""
    # Looks vary along some directions far more than along others; noise does not.
    spread = np.geomspace(3.0, 0.2, DIMENSION)
    own = rng.normal(size=(PEOPLE, 1, DIMENSION)) * spread
    rows = own + rng.normal(size=(PEOPLE, each, DIMENSION))
    return rows / np.linalg.norm(rows, axis=2, keepdims=True)


def measured(rows: np.ndarray, **options: int) -> FusedStretch:
    labels = np.repeat(np.arange(len(rows)), rows.shape[1])
    return measure_stretch(rows.reshape(-1, DIMENSION), labels, "a", "r", "drawn", **{"replicates": 20, **options})


def templates(rows: np.ndarray, count: int) -> np.ndarray:
    total = rows[:, :count].sum(axis=1)
    return total / np.linalg.norm(total, axis=1, keepdims=True)


def impostors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T)[~np.eye(len(first), dtype=bool)]


@pytest.mark.parametrize(("probe", "enrolled"), [(2, 1), (5, 1), (5, 5), (9, 9)])
def test_rate_of_fused_templates_of_other_people_is_the_one_asked_for(probe: int, enrolled: int) -> None:
    found = measured(people(np.random.default_rng(1), 6))
    rows = people(np.random.default_rng(2), 10)
    threshold = float(np.quantile(impostors(rows[:, 9], rows[:, 8]), 0.99))
    scores = impostors(templates(rows, probe), templates(rows[:, ::-1], enrolled))
    plain = np.mean(scores >= threshold)
    held = np.mean(scores >= ask_more(threshold, found.at(probe) * found.at(enrolled)))
    assert plain > 0.012
    assert 0.005 < held < 0.0125


def test_factor_is_the_closed_form_of_noise_that_averages_out() -> None:
    # Without anything shared, similarities of two people have one spread whatever is averaged: their own part counts.
    rng = np.random.default_rng(3)
    own, noise = rng.normal(size=(2, 400, 6, DIMENSION))
    rows = own[:, :1] + noise
    found = measured(rows / np.linalg.norm(rows, axis=2, keepdims=True))
    assert found.agreement == pytest.approx(0.5, abs=0.02)
    assert found.limit == pytest.approx(1.0, abs=0.02)


def test_few_people_ask_for_more_than_many() -> None:
    many = people(np.random.default_rng(4), 4)
    few, all_of_them = measured(many[:90]), measured(many)
    assert few.interval[1] - few.interval[0] > all_of_them.interval[1] - all_of_them.interval[0]
    assert all_of_them.limit < all_of_them.at(2**40) == pytest.approx(all_of_them.interval[1])


def test_at_most_so_many_people_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qcface_sdk.calibration.stretch.MOST_PEOPLE", 100)
    found = measured(people(np.random.default_rng(5), 2))
    assert (found.people, found.comparisons) == (100, 4950)


def test_equal_input_gives_equal_output() -> None:
    rows = people(np.random.default_rng(6), 3)
    assert measured(rows) == measured(rows)


def test_too_few_people_are_refused() -> None:
    with pytest.raises(
        InputError, match="need 3,000 pairs of people with two pictures each, got 780 of 40 such people"
    ):
        measured(people(np.random.default_rng(7), 2)[:40])


@pytest.mark.parametrize(
    ("rows", "labels", "error"),
    [
        (np.full((4, 8), np.nan), [0, 0, 1, 1], NotFiniteError),
        (np.zeros((4, 8)), [0, 0, 1, 1], NotFiniteError),
        (np.ones((4, 8)), [0, 0, 1], ShapeError),
    ],
)
def test_bad_input_is_a_named_error(rows: np.ndarray, labels: list[int], error: type[Exception]) -> None:
    with pytest.raises(error):
        measure_stretch(rows, labels, "a", "r", "drawn")
    with pytest.raises(OptionError):
        measure_stretch(np.eye(4), [0, 0, 1, 1], "a", "r", "drawn", replicates=0)


@given(st.floats(0, 1), st.floats(1, 2), st.integers(1, 1000))
def test_factor_grows_with_pictures_from_one_to_the_limit(agreement: float, limit: float, count: int) -> None:
    entry = FusedStretch("a", "r", agreement, limit, (1.0, limit), 100, 4950, "drawn")
    assert entry.at(1) == 1.0
    assert entry.at(count) <= entry.at(count + 1) <= limit + 1e-12


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0.9}, {"interval": (1.2, 1.3)}, {"interval": (1.0, 9.0)}, {"agreement": 1.5}, {"people": 1}],
)
def test_impossible_entry_is_refused(wrong: dict[str, object]) -> None:
    good = {"agreement": 0.5, "limit": 1.1, "interval": (1.0, 1.2), "people": 100, "comparisons": 4950, "origin": "x"}
    FusedStretch("a", "r", **good)  # type: ignore[arg-type]
    with pytest.raises(ManifestError):
        FusedStretch("a", "r", **{**good, **wrong})  # type: ignore[arg-type]


@given(st.floats(-1, 1), st.floats(1, 4))
def test_ask_more_never_asks_for_less(threshold: float, stretch: float) -> None:
    asked = ask_more(threshold, stretch)
    assert threshold <= asked <= max(threshold, 1.0)
    assert asked == pytest.approx(min(1.0, threshold * stretch)) or threshold <= 0
    assert not math.isnan(asked)
