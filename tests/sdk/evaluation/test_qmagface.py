from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.errors import ShapeError
from qcface_sdk.evaluation import QMagFace, fit_qmagface


def test_score_is_the_cosine_from_alpha_over_beta_on_and_lower_before() -> None:
    score = QMagFace(alpha=0.02, beta=0.04)
    assert score([0.5, 0.8], [10, 90]).tolist() == pytest.approx([0.5, 0.8])
    assert score([0.25, 0.25, 0.25], [0, 10, 20]).tolist() == pytest.approx([0.25, 0.15, 0.05])


def draw(rng: np.random.Generator, count: int, mean: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    quality = rng.uniform(0, 100, count)
    return mean + slope * quality + rng.normal(0, 0.05, count), quality


def test_fit_finds_that_quality_separates_and_lowers_errors_on_other_pairs() -> None:
    """Impostors score high only where quality is low, so a weight that lowers them there is wanted."""
    rng = np.random.default_rng(3)
    fit = fit_qmagface(*draw(rng, 2000, 0.3, 0.0), *draw(rng, 20000, 0.15, -0.001))
    (mates, mates_q), (others, others_q) = draw(rng, 2000, 0.3, 0.0), draw(rng, 20000, 0.15, -0.001)

    def missed(genuine: np.ndarray, impostor: np.ndarray) -> float:
        return float(np.mean(genuine < np.quantile(impostor, 1 - 1e-3)))

    assert fit.alpha != 0
    assert missed(fit(mates, mates_q), fit(others, others_q)) <= missed(mates, others)


def test_fit_of_a_quality_without_meaning_stays_near_the_cosine() -> None:
    rng = np.random.default_rng(3)
    fit = fit_qmagface(*draw(rng, 2000, 0.6, 0.0), *draw(rng, 20000, 0.0, 0.0))
    scores, quality = draw(rng, 500, 0.6, 0.0)
    assert np.corrcoef(fit(scores, quality), scores)[0, 1] > 0.9


def test_fit_of_too_few_pairs_raises() -> None:
    with pytest.raises(ShapeError, match="too few"):
        fit_qmagface([0.5], [1.0], [0.1, 0.2], [1.0, 1.0])
    with pytest.raises(ShapeError, match="one length"):
        fit_qmagface([0.5], [1.0, 2.0], [0.1] * 200, [1.0] * 200)
