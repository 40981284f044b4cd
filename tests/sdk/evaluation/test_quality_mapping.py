from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_sdk.errors import InputError, OptionError, ShapeError
from qcface_sdk.evaluation.quality_mapping import fit_isotonic, fit_quality
from qcface_sdk.manifest import QualityGate, QualityMap


def simulate(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Comparisons that succeed with the logistic chance of (magnitude - 40) / 8; similarity 0.8 or 0.1."""
    rng = np.random.default_rng(seed)
    magnitude = rng.uniform(5, 95, count)
    passed = rng.uniform(size=count) < 1 / (1 + np.exp(-(magnitude - 40) / 8))
    return magnitude, np.where(passed, 0.8, 0.1)


def test_fit_quality_known_relation_is_recovered() -> None:
    mapping = fit_quality(*simulate(40_000, 0), 0.5)
    places = np.linspace(10, 90, 33)
    expected = 100 / (1 + np.exp(-(places - 40) / 8))
    # 24 sets of some 1,700 comparisons: one standard error is at most 1.2, a step between knots some 5.
    assert np.abs(mapping(places) - expected).max() < 5
    assert mapping.comparisons == 40_000


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(200, 900), knots=st.integers(2, 30))
def test_fit_quality_any_sample_rises_strictly_within_limits(seed: int, count: int, knots: int) -> None:
    mapping = fit_quality(*simulate(count, seed), 0.5, max_knots=knots, min_comparisons=20)
    places, qualities = np.array(mapping.knots).T
    assert (np.diff(places) > 0).all()
    assert (np.diff(qualities) > 0).all()
    assert qualities[0] >= 0
    assert qualities[-1] <= 100
    assert 2 <= len(mapping.knots) <= knots + 2


def test_fit_quality_ends_are_anchored_at_la_and_ua() -> None:
    mapping = fit_quality(*simulate(2000, 1), 0.5, la=1.0, ua=100.0)
    assert mapping.knots[0] == (1.0, 0.0)
    assert mapping.knots[-1] == (100.0, 100.0)
    assert mapping([0.0, 1.0, 100.0, 300.0]).tolist() == [0.0, 0.0, 100.0, 100.0]


def test_fit_quality_data_beyond_ua_keep_their_own_end() -> None:
    magnitude, similarity = simulate(2000, 2)
    mapping = fit_quality(magnitude * 2, similarity, 0.5)
    assert mapping.knots[-1][0] > 100
    assert mapping.knots[-1][1] < 100


def test_fit_quality_order_of_comparisons_does_not_matter() -> None:
    magnitude, similarity = simulate(1000, 3)
    magnitude = np.round(magnitude)
    order = np.random.default_rng(0).permutation(1000)
    one, two = (fit_quality(magnitude[rows], similarity[rows], 0.5) for rows in (slice(None), order))
    np.testing.assert_allclose(one.knots, two.knots)


def test_to_dict_makes_a_manifest_entry() -> None:
    mapping = fit_quality(*simulate(2000, 4), 0.5)
    fields = json.loads(json.dumps(mapping.to_dict("origin")))
    fields["knots"] = tuple(tuple(knot) for knot in fields["knots"])
    gate = QualityGate(mapping.quality_at_fnmr(0.5), 0.5, 1e-4, "why")
    entry = QualityMap(artifact="a", runtime="b", probe_gate=gate, enroll_gate=gate, **fields)
    assert entry.knots == mapping.knots
    assert entry.probe_gate.minimum == 50.0


def test_fit_isotonic_by_hand_pools_weighted_violators() -> None:
    assert fit_isotonic([3.0, 1.0], [1.0, 3.0]).tolist() == [1.5, 1.5]
    assert fit_isotonic([5.0, 4.0, 3.0]).tolist() == [4.0, 4.0, 4.0]


@settings(max_examples=50, deadline=None)
@given(values=st.lists(st.integers(-5, 5), min_size=1, max_size=12))
def test_fit_isotonic_any_values_equals_the_min_max_formula(values: list[int]) -> None:
    fit = fit_isotonic(np.array(values, float))
    # Barlow et al. 1972: max over i <= k of min over j >= k of the mean of values i..j.
    expected = [
        max(min(np.mean(values[i : j + 1]) for j in range(k, len(values))) for i in range(k + 1))
        for k in range(len(values))
    ]
    assert fit.tolist() == pytest.approx(expected)


def test_fit_quality_falling_success_raises_input_error() -> None:
    magnitude, similarity = simulate(1000, 5)
    with pytest.raises(InputError, match="does not rise"):
        fit_quality(100 - magnitude, similarity, 0.5)


def test_fit_quality_bad_arguments_raise_named_errors() -> None:
    magnitude, similarity = simulate(200, 6)
    with pytest.raises(ShapeError):
        fit_quality(magnitude, similarity[1:], 0.5)
    with pytest.raises(InputError, match="at least 100"):
        fit_quality(magnitude[:99], similarity[:99], 0.5)
    with pytest.raises(OptionError):
        fit_quality(magnitude, similarity, 0.5, la=5.0, ua=5.0)
    with pytest.raises(OptionError):
        fit_quality(magnitude, similarity, 0.5).quality_at_fnmr(1.5)
