from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.errors import InputError, OptionError, ShapeError
from qcface_sdk.evaluation.bootstrap import (
    bootstrap_mean,
    bootstrap_rates,
    compare_fnmr,
    percentile_interval,
    resample,
)
from qcface_sdk.evaluation.scores import score_all_pairs
from qcface_sdk.evaluation.verification import operate


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """40 people with 1 to 4 faces each; some people are alike."""
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(40), rng.integers(1, 5, 40))
    centres = rng.normal(size=(40, 8))
    return centres[labels] + 0.8 * rng.normal(size=(len(labels), 8)), labels


def rates_by_copying(embeddings: np.ndarray, labels: np.ndarray, drawn: np.ndarray, fmr: float) -> tuple[float, float]:
    """Build the resampled set for real, person by person, and count."""
    unit = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    genuine, impostor = [], []
    copies = [np.flatnonzero(labels == person) for person in np.repeat(np.arange(len(drawn)), drawn)]
    for i, rows in enumerate(copies):
        for a in range(len(rows)):
            for b in range(a + 1, len(rows)):
                genuine.append(float(unit[rows[a]] @ unit[rows[b]]))
        for others in copies[i + 1 :]:
            if labels[others[0]] != labels[rows[0]]:
                impostor.extend((unit[rows] @ unit[others].T).ravel().tolist())
    impostor.sort(reverse=True)
    refused = impostor[int(np.floor(fmr * len(impostor) + 1e-9))]
    return refused, float(np.mean(np.array(genuine) <= refused))


@pytest.mark.parametrize("fmr", [0.1, 0.01, 0.001])
def test_bootstrap_rates_weighting_equals_building_the_resampled_set(faces: tuple, fmr: float) -> None:
    embeddings, labels = faces
    scores = score_all_pairs(embeddings, labels, tail=0.9)
    result = bootstrap_rates(scores, [fmr], replicates=8, seed=3)
    for row, drawn in enumerate(resample(40, 8, 3)):
        threshold, fnmr = rates_by_copying(embeddings, labels, drawn, fmr)
        assert result.thresholds[row, 0] == pytest.approx(threshold, abs=1e-6)
        assert result.fnmr[row, 0] == pytest.approx(fnmr, abs=1e-12)


def test_resample_equal_seed_draws_equal_people() -> None:
    one, two = list(resample(30, 5, 7)), list(resample(30, 5, 7))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))
    assert all(drawn.sum() == 30 for drawn in one)
    assert not np.array_equal(one[0], one[1])


def test_bootstrap_rates_interval_covers_the_plain_figures(faces: tuple) -> None:
    scores = score_all_pairs(*faces, tail=0.9)
    result = bootstrap_rates(scores, [0.1, 0.01], replicates=300)
    for column, fmr in enumerate(result.fmrs):
        at = operate(scores, fmr)
        low, high = percentile_interval(result.thresholds[:, column])
        assert low < at.threshold < high
        low, high = percentile_interval(result.fnmr[:, column])
        assert low <= at.fnmr <= high


def test_bootstrap_rates_by_identity_is_wider_than_by_comparison() -> None:
    # Few people with many faces each: comparisons are plenty, people are not.
    rng = np.random.default_rng(11)
    labels = np.repeat(np.arange(12), 15)
    noise = rng.uniform(0.2, 2.0, 12)[labels, None] * rng.normal(size=(180, 8))
    scores = score_all_pairs(rng.normal(size=(12, 8))[labels] + noise, labels, tail=0.9)
    low, high = percentile_interval(bootstrap_rates(scores, [0.05], replicates=400).fnmr[:, 0])
    at = operate(scores, 0.05)
    errors = scores.genuine < at.threshold
    naive = percentile_interval([rng.choice(errors, len(errors)).mean() for _ in range(400)])
    assert high - low > 3 * (naive[1] - naive[0])


def test_bootstrap_rates_tail_too_short_raises_option_error(faces: tuple) -> None:
    scores = score_all_pairs(*faces, tail=0.05)
    with pytest.raises(OptionError, match="larger tail"):
        bootstrap_rates(scores, [0.04])


def test_compare_fnmr_of_a_system_with_itself_is_zero(faces: tuple) -> None:
    scores = score_all_pairs(*faces, tail=0.9)
    difference = compare_fnmr(scores, scores, 0.01, replicates=50)
    assert (difference.value, difference.interval, difference.clear) == (0.0, (0.0, 0.0), False)


def test_compare_fnmr_of_a_noisier_system_is_clearly_above_zero(faces: tuple) -> None:
    embeddings, labels = faces
    noisy = embeddings + 1.5 * np.random.default_rng(1).normal(size=embeddings.shape)
    worse, better = (score_all_pairs(rows, labels, tail=0.9) for rows in (noisy, embeddings))
    difference = compare_fnmr(worse, better, 0.01, replicates=200)
    assert difference.value == pytest.approx(operate(worse, 0.01).fnmr - operate(better, 0.01).fnmr)
    assert difference.clear
    assert difference.interval[0] > 0


def test_compare_fnmr_other_faces_raises_shape_error(faces: tuple) -> None:
    embeddings, labels = faces
    with pytest.raises(ShapeError, match="same faces"):
        compare_fnmr(score_all_pairs(embeddings, labels), score_all_pairs(embeddings, labels[::-1]), 0.01)


def test_percentile_interval_uniform_samples_gives_the_quantiles() -> None:
    assert percentile_interval(np.arange(101.0), confidence=0.9) == pytest.approx((5.0, 95.0))


def test_percentile_interval_many_missing_raises_input_error() -> None:
    with pytest.raises(InputError, match="use more people"):
        percentile_interval([1.0, np.nan, np.nan])


def test_bootstrap_mean_one_value_per_person_matches_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap_mean(values, np.arange(400), replicates=2000)
    half = 1.96 * values.std() / 20
    # 2,000 resamples fix a 95 % bound to about 5 % of the half width.
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)
