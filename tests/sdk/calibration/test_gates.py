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


def test_measure_gate_without_a_failure_promises_by_the_rule_of_three() -> None:
    comparisons = Comparisons.of(np.full(60, 0.9), np.full(60, 50.0), np.full(60, 50.0), range(60))
    assert measure_gate(comparisons, 0.5, 0.0, replicates=20).promise == pytest.approx(3 / 60)


@pytest.mark.parametrize("seed", range(5))
def test_measure_gate_keeps_its_promise_on_other_people(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fit = measure_gate(simulated(rng, 300), 0.5, 60.0, replicates=200)
    other = measure_gate(simulated(rng, 3000), 0.5, 60.0, replicates=20)
    assert other.fnmr <= fit.promise


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
