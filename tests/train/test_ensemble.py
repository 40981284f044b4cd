"""Several teachers as one target."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from qcface_train.ensemble import OnlineEnsemble, fit_basis, join  # noqa: E402
from qcface_train.teacher import unit  # noqa: E402


def teachers(count: int, sizes: tuple[int, ...], rank: int) -> list[np.ndarray]:
    """Draw unit embeddings of teachers that see the same `rank` things."""
    rng = np.random.default_rng(3)
    seen = rng.normal(0, 1, (count, rank))
    return [unit((seen @ rng.normal(0, 1, (rank, size))).astype(np.float32)) for size in sizes]


def test_one_teacher_of_the_students_size_is_kept_as_it_is() -> None:
    (rows,) = teachers(5, (512,), 20)
    np.testing.assert_allclose(join([rows], fit_basis(rows)), rows, atol=1e-6)


def test_smaller_teachers_are_filled_up_and_keep_their_cosines() -> None:
    parts = teachers(6, (64, 128), 10)
    targets = join(parts, fit_basis(np.concatenate(parts, axis=1)))
    assert targets.shape == (6, 512)
    np.testing.assert_allclose(targets @ targets.T, np.mean([p @ p.T for p in parts], axis=0), atol=1e-5)


def test_larger_ensembles_keep_the_mean_of_their_cosines() -> None:
    parts = teachers(200, (48, 32), 30)
    targets = join(parts, fit_basis(np.concatenate(parts, axis=1), 60))
    assert targets.shape == (200, 60)
    wanted = np.mean([p @ p.T for p in parts], axis=0)
    assert np.abs(targets @ targets.T - wanted).max() < 0.02


class Still:
    """A teacher that says the same of every picture."""

    def __init__(self, row: np.ndarray) -> None:
        self.row = torch.from_numpy(row)

    def embed_inputs(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.row.expand(len(inputs), -1)


def test_online_ensemble_joins_as_the_stored_one_does(tmp_path: Path) -> None:
    parts = teachers(1, (30, 30), 5)
    basis = fit_basis(np.concatenate(teachers(90, (30, 30), 40), axis=1), 50)
    online = OnlineEnsemble([Still(part) for part in parts], basis).embed(torch.zeros(3, 3, 112, 112))
    np.testing.assert_allclose(online.numpy(), np.repeat(join(parts, basis), 3, axis=0), atol=1e-5)
