from __future__ import annotations

import numpy as np
import pytest

from qcface_export.proof.magnitudes import count_flips, measure_embeddings, measure_ladders


@pytest.fixture
def embeddings(rng: np.random.Generator) -> np.ndarray:
    rows = rng.normal(size=(300, 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows * rng.uniform(20, 90, (300, 1))).astype(np.float32)


def test_measure_embeddings_of_equal_ones_is_ideal(embeddings: np.ndarray) -> None:
    found = measure_embeddings(embeddings, embeddings)
    assert found == pytest.approx(
        {"cosine_mean": 1, "cosine_min": 1, "norm_bias": 0, "norm_error_p95": 0, "norm_error_max": 0}
        | {"magnitude_spearman": 1, "magnitude_kendall": 1, "order_flips": 0, "magnitude_spread": 0},
        abs=1e-6,
    )


def test_measure_embeddings_of_longer_ones_sees_the_bias_alone(embeddings: np.ndarray) -> None:
    found = measure_embeddings(embeddings, embeddings * np.float32(1.02))
    assert found["norm_bias"] == pytest.approx(0.02, abs=1e-5)
    assert found["norm_error_max"] == pytest.approx(0.02, abs=1e-5)
    assert found["magnitude_spread"] == pytest.approx(0.02, abs=1e-5)
    assert found["cosine_min"] == pytest.approx(1, abs=1e-6)
    assert found["magnitude_spearman"] == pytest.approx(1)


def test_measure_embeddings_finds_the_one_face_that_turned(embeddings: np.ndarray) -> None:
    turned = embeddings.copy()
    turned[7] = -turned[7]
    found = measure_embeddings(embeddings, turned)
    assert found["cosine_min"] == pytest.approx(-1, abs=1e-6)
    assert found["cosine_mean"] == pytest.approx(1 - 2 / 300, abs=1e-6)


def test_measure_embeddings_of_a_constant_magnitude_cannot_pass(embeddings: np.ndarray) -> None:
    flat = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = measure_embeddings(flat, flat)
    assert not found["magnitude_spread"] <= 0.03 or np.isnan(found["order_flips"])


def test_count_flips_counts_clear_pairs_alone() -> None:
    wanted = np.array([10.0, 10.1, 20.0, 30.0])
    # 10 and 10.1 change places, but nobody could tell them apart; 20 and 30 do too, of 5 clear pairs
    assert count_flips(wanted, np.array([10.1, 10.0, 30.0, 20.0])) == pytest.approx(1 / 5)


def test_measure_ladders_reports_the_mean_and_the_worst_kind() -> None:
    falling = np.linspace(50, 20, 7)[None].repeat(4, axis=0)
    rising = falling[:, ::-1].copy()
    worst, kinds = measure_ladders({"blur": falling, "noise": falling}, {"blur": falling, "noise": rising})
    assert worst["ladder_spearman_loss"] == pytest.approx(1)
    assert worst["ladder_spearman_loss_worst"] == pytest.approx(2)
    assert worst["ladder_monotone_loss"] == 0.5
    assert worst["ladder_fall"] == pytest.approx((20 - 50) / 20)
    assert kinds["blur"]["spearman"] == pytest.approx(-1)
    assert kinds["noise"]["standard_error"] == pytest.approx(0)


def test_measure_ladders_states_the_noise_of_each_kind() -> None:
    falling = np.linspace(50, 20, 7)[None].repeat(4, axis=0)
    mixed = np.where(np.arange(4)[:, None] < 2, falling, falling[:, ::-1])
    _, kinds = measure_ladders({"blur": falling}, {"blur": mixed})
    # Losses 0, 0, 2, 2: mean 1, standard deviation 2 / sqrt(3).
    assert kinds["blur"]["standard_error"] == pytest.approx(1 / np.sqrt(3))
    _, kinds = measure_ladders({"blur": falling[:1]}, {"blur": falling[:1]})
    assert kinds["blur"]["standard_error"] == 2
