from __future__ import annotations

import json

import numpy as np
import pytest

from qcface_train.evaluation.comparisons import measure_identification, measure_qmagface, measure_templates


def draw(people: int, pictures: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around one direction a person; noisier ones are shorter, as QCFace has it."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(people, 32))
    subjects = np.repeat(np.arange(people), pictures)
    level = noise * rng.uniform(0.2, 1.8, len(subjects))[:, None]
    directions = centres[subjects] / np.linalg.norm(centres[subjects], axis=1, keepdims=True)
    directions = directions + level * rng.normal(size=(len(subjects), 32)) / 32**0.5
    units = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return (units * 50 / (0.5 + level)).astype(np.float32), subjects


def test_identification_of_well_separated_people_is_perfect_and_counts_distractors() -> None:
    embeddings, subjects = draw(12, 3, 0.1)
    alone, _ = draw(20, 1, 0.1, seed=1)
    figures = measure_identification(
        np.concatenate([embeddings, alone]), np.concatenate([subjects, 100 + np.arange(20)]), replicates=20
    )
    assert (figures["probes"], figures["people"], figures["distractors"]) == (24, 32, 20)
    assert figures["rank"] == {"1": 1.0, "5": 1.0, "10": 1.0}
    assert figures["rank_interval"]["1"] == [1.0, 1.0]
    assert figures["open"]["fnir_interval"] == {"0.1": [0.0, 0.0]}
    assert figures["open"]["fnir"] == {"0.1": 0.0}  # one stranger of a hundred cannot be had from 20
    assert (figures["open"]["people"], figures["open"]["strangers"]) == (12, 20)


def test_identification_without_single_pictures_has_no_open_set() -> None:
    assert measure_identification(*draw(5, 2, 0.1), replicates=20)["open"] is None


def test_templates_beat_single_pictures_of_noisy_people() -> None:
    figures = measure_templates(*draw(120, 8, 1.6), replicates=100)
    assert (figures["people"], figures["pictures"], figures["impostors"]) == (120, 960, 120 * 119)
    tar = {name: rates["0.001"] for name, rates in figures["tar"].items()}
    assert tar["magnitude"] > tar["one picture"] + 0.05
    assert tar["equal"] > tar["one picture"] + 0.05
    low, high = figures["tar_interval"]["one picture"]["0.001"]
    # 120 people: as wide as two standard errors of a share, and more for the threshold.
    assert low < tar["one picture"] < high
    assert high - low > 2 * (tar["one picture"] * (1 - tar["one picture"]) / 120) ** 0.5


def test_templates_of_people_with_few_pictures_are_none() -> None:
    assert measure_templates(*draw(5, 3, 0.1), replicates=20) == {"people": 0}


def test_qmagface_is_fitted_on_other_people_and_given_for_both_halves() -> None:
    embeddings, subjects = draw(150, 4, 1.2)
    figures = measure_qmagface(embeddings, subjects, replicates=50)
    assert len(figures["folds"]) == 2
    assert figures["folds"][0]["alpha"] != figures["folds"][1]["alpha"]
    low, high = figures["tar_interval"]["qmagface"]["0.001"]
    assert 0 < low < figures["tar"]["qmagface"]["0.001"] < high <= 1
    json.dumps(figures, allow_nan=False)


def test_qmagface_with_a_constant_magnitude_is_the_cosine() -> None:
    embeddings, subjects = draw(100, 4, 1.0)
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    figures = measure_qmagface(units, subjects, replicates=20)
    # A constant quality gives a rising function of the cosine, unless alpha / beta lies above and beta below -1.
    assert figures["tar"]["qmagface"]["0.001"] == pytest.approx(figures["tar"]["cosine"]["0.001"], abs=0.02)
