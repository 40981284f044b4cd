"""Thresholds against counting by hand, and the figures that follow from what was done to the embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_export.errors import GateError
from qcface_export.proof.recognition import measure_recognition

PEOPLE, PICTURES = 80, 4


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """80 people of 4 pictures; what lies farther from the centre is shorter."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(PEOPLE, 1, 12))
    centres /= np.linalg.norm(centres, axis=2, keepdims=True)
    spread = rng.uniform(0.02, 0.35, (PEOPLE, PICTURES, 1))
    rows = centres + spread * rng.normal(size=(PEOPLE, PICTURES, 12))
    rows *= (80 - 150 * spread) / np.linalg.norm(rows, axis=2, keepdims=True)
    return rows.reshape(-1, 12).astype(np.float32), np.repeat(np.arange(PEOPLE), PICTURES)


def test_measure_recognition_of_equal_files_changes_nothing(faces) -> None:
    embeddings, subjects = faces
    found = measure_recognition(embeddings, embeddings, subjects, replicates=50)
    for name in ("threshold_shift", "fnmr_change", "tar_loss", "cross_fnmr_change", "edc_area_loss"):
        assert found.figures[name] == pytest.approx(0, abs=1e-9), name
    assert found.figures["fmr_factor"] <= 1
    assert found.figures["cross_fmr_factor"] <= 1
    assert found.tar_interval == (0, 0)


def test_measure_recognition_counts_across_the_files_as_by_hand(faces) -> None:
    embeddings, subjects = faces
    other = embeddings + np.random.default_rng(1).normal(0, 6, embeddings.shape).astype(np.float32)
    found = measure_recognition(embeddings, other, subjects, replicates=50)
    threshold = next(row["threshold"] for row in found.rates if row["fmr"] == found.fmr)
    one, two = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (embeddings, other))
    similarity = one @ two.T
    same = subjects[:, None] == subjects[None]
    rates = []
    for part in (np.triu(np.ones_like(same), 1), np.tril(np.ones_like(same), -1)):
        genuine, impostor = similarity[same & part], similarity[~same & part]
        rates.append(((genuine < threshold).mean(), (impostor >= threshold).mean()))
    plain = (one @ one.T)[same & np.triu(np.ones_like(same), 1)]
    before = (plain < threshold).mean()
    assert found.figures["cross_fnmr_change"] == pytest.approx(max(rate[0] for rate in rates) - before, abs=1e-9)
    assert found.figures["cross_fmr_factor"] == pytest.approx(max(rate[1] for rate in rates) / found.fmr, abs=1e-9)


def test_measure_recognition_of_a_noisy_file_loses_accepts_clearly(faces) -> None:
    embeddings, subjects = faces
    noisy = embeddings + np.random.default_rng(2).normal(0, 12, embeddings.shape).astype(np.float32)
    found = measure_recognition(embeddings, noisy, subjects, replicates=100)
    assert found.figures["tar_loss"] > 0.003
    assert found.tar_interval[0] > 0


def test_measure_recognition_of_shuffled_lengths_loses_the_rejection_alone(faces) -> None:
    embeddings, subjects = faces
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    shuffled = embeddings / lengths * np.random.default_rng(4).permutation(lengths)
    found = measure_recognition(embeddings, shuffled, subjects, replicates=20)
    assert found.figures["edc_area_loss"] > 0.02
    assert found.figures["tar_loss"] == pytest.approx(0, abs=0.003)


def test_measure_recognition_uses_the_thresholds_that_ship(faces) -> None:
    embeddings, subjects = faces
    found = measure_recognition(embeddings, embeddings, subjects, thresholds={1e-2: 0.9}, replicates=20)
    row = next(row for row in found.rates if row["fmr"] == 1e-2)
    assert row["threshold"] == 0.9
    assert row["threshold_shift"] < 0


def test_measure_recognition_of_too_few_pairs_is_refused(faces) -> None:
    embeddings, subjects = faces
    with pytest.raises(GateError, match="use more labelled pictures"):
        measure_recognition(embeddings[:40], embeddings[:40], subjects[:40])
