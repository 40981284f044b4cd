"""The tail fit: it finds the tail it was given, and says what it would take."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.errors import InputError, OptionError
from qcface_sdk.evaluation import score_all_pairs
from qcface_sdk.evaluation.scores import PairScores
from qcface_sdk.evaluation.tail import MIN_EXCEEDANCES, fit_tail


def scores_of(impostor: np.ndarray, rng: np.random.Generator, people: int = 400) -> PairScores:
    """Scores of pairs of drawn people; only the impostor side matters."""
    ordered = np.sort(impostor.astype(np.float32))[::-1].copy()
    pairs = np.stack([rng.integers(0, people // 2, len(ordered)), rng.integers(people // 2, people, len(ordered))], 1)
    empty = np.zeros(0, np.float32)
    subjects = np.arange(people)
    return PairScores(
        empty, np.zeros((0, 2), np.int32), ordered, pairs.astype(np.int32), len(ordered), np.zeros(2000, int), subjects
    )


@pytest.mark.parametrize("shape", [-0.3, 0.0, 0.2])
def test_fit_tail_finds_the_shape_it_was_drawn_with(shape: float, rng: np.random.Generator) -> None:
    uniform = rng.uniform(size=600_000)
    drawn = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
    found = fit_tail(scores_of(0.05 * drawn, rng), replicates=20)
    assert found.shape == pytest.approx(shape, abs=0.08)
    low, high = np.quantile([draw[2] for draw in found.draws], [0.0, 1.0])
    assert low < found.shape < high
    # The rate of the fit at its own start is the share of the scores there.
    assert found.share == pytest.approx(np.mean(0.05 * drawn >= found.start), rel=1e-3)


def test_fit_tail_of_few_people_says_how_many_pairs_it_takes(rng: np.random.Generator) -> None:
    few = score_all_pairs(rng.normal(size=(60, 16)), np.repeat(np.arange(30), 2), tail=0.5)
    with pytest.raises(InputError, match="60,000 impostor pairs at least, got 1,740"):
        fit_tail(few)
    assert MIN_EXCEEDANCES == 300


def test_fit_tail_with_too_few_resamples_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(OptionError, match="replicates"):
        fit_tail(scores_of(rng.uniform(size=1000), rng), replicates=19)


def test_fit_tail_again_gives_the_same(rng: np.random.Generator) -> None:
    scores = scores_of(rng.exponential(size=100_000), rng)
    assert fit_tail(scores, replicates=20, seed=3) == fit_tail(scores, replicates=20, seed=3)
