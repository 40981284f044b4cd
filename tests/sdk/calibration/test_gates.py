"""Gates promise no less than what was measured, and keep it on people they never saw."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.calibration.gates import Comparisons, find_gate, measure_gate
from qcface_sdk.errors import InputError, NotFiniteError, OptionError, ShapeError


def simulated(rng: np.random.Generator, people: int, each: int = 6) -> Comparisons:
    """Comparisons that fail with probability 1 - (worse quality) / 100."""
    person = np.repeat(np.arange(people), each)
    enrolled, probe = rng.uniform(0, 100, (2, len(person)))
    succeeds = rng.uniform(size=len(person)) < np.minimum(enrolled, probe) / 100
    return Comparisons.of(np.where(succeeds, 0.8, 0.1), enrolled, probe, person)


def test_measure_gate_counts_what_passes_by_hand() -> None:
    comparisons = Comparisons.of(
        [0.9, 0.1] * 30, [80.0, 80.0, 10.0, 80.0] * 15, [80.0, 80.0, 80.0, 10.0] * 15, range(60)
    )
    both = measure_gate(comparisons, 0.5, 50.0, replicates=50)
    assert (both.fnmr, both.comparisons, both.share) == (0.5, 30, 0.5)
    enrolled = measure_gate(comparisons, 0.5, 50.0, other_minimum=0.0, replicates=50)
    assert (enrolled.comparisons, enrolled.fnmr) == (45, pytest.approx(30 / 45))
    assert both.promise >= both.fnmr


def test_measure_gate_without_a_failure_promises_what_as_many_others_keep() -> None:
    comparisons = Comparisons.of(np.full(60, 0.9), np.full(60, 50.0), np.full(60, 50.0), range(60))
    # Of K failures among 120 people all lie in the second 60 with probability 2^-K: below 1 % from 7 on.
    assert measure_gate(comparisons, 0.5, 0.0).promise == pytest.approx(6 / 60, abs=1.01 / 60)


@pytest.mark.parametrize(("people", "failing"), [(40, 0.02), (200, 0.3)])
def test_measure_gate_keeps_its_promise_on_as_many_other_people(people: int, failing: float) -> None:
    """A bound for the chance in the first sample alone is kept in clearly fewer of them."""
    rng = np.random.default_rng(people)
    trials = 200

    def sample() -> Comparisons:
        person = np.repeat(np.arange(people), rng.integers(1, 12, people))
        fails = rng.uniform(size=len(person)) < rng.beta(failing, 1 - failing, people)[person]
        return Comparisons.of(np.where(fails, 0.1, 0.9), *np.full((2, len(person)), 50.0), person)

    kept = 0
    for _ in range(trials):
        other = sample()
        kept += float(np.mean(other.similarity < 0.5)) <= measure_gate(sample(), 0.5, 0.0, replicates=150).promise
    assert kept / trials >= 0.965


def test_find_gate_is_the_lowest_that_keeps_the_rate(rng: np.random.Generator) -> None:
    comparisons = simulated(rng, 2000)
    fit = find_gate(comparisons, 0.5, 0.3, candidates=range(0, 100, 5), replicates=40)
    below = measure_gate(comparisons, 0.5, fit.minimum - 5, replicates=40)
    assert fit.promise <= 0.3 < below.promise


def test_find_gate_that_no_quality_keeps_names_the_best(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=r"no quality gate keeps an FNMR of 0.001.*the best, from \d+, keeps 0\."):
        find_gate(simulated(rng, 300), 0.5, 0.001, candidates=range(0, 100, 10), replicates=20)


def test_measure_gate_with_too_few_that_pass_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="needs 30 genuine comparisons that pass, got 0"):
        measure_gate(simulated(rng, 20), 0.5, 100.0)


def test_comparisons_of_unequal_or_infinite_columns_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(ShapeError):
        Comparisons.of([0.1], [1.0, 2.0], [1.0], [0])
    with pytest.raises(NotFiniteError):
        Comparisons.of([np.nan], [1.0], [1.0], [0])
    with pytest.raises(OptionError):
        find_gate(simulated(rng, 100), 0.5, 0.3, candidates=())
