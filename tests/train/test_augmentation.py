"""Augmentation: repeatable, harmless to its input, and covering all that the evaluation ladder measures."""

from __future__ import annotations

import numpy as np
import pytest

from qcface_sdk.evaluation.ladder import KINDS
from qcface_train.augmentation import DAMAGES, augment
from qcface_train.drawing import draw_faces


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    return draw_faces(1, 1, 3).images[0]


def test_damages_are_the_kinds_of_the_evaluation_ladder() -> None:
    assert set(DAMAGES) == set(KINDS)


@pytest.mark.parametrize("kind", list(DAMAGES))
def test_damage_grows_with_its_strength(kind: str, face: np.ndarray) -> None:
    differences = []
    for strength in (0.0, 0.5, 1.0):
        damaged = [DAMAGES[kind](face, strength, np.random.default_rng([8, trial])) for trial in range(8)]
        assert all(item.shape == face.shape and item.dtype == np.uint8 for item in damaged)
        differences.append(np.mean([np.abs(item.astype(float) - face).mean() for item in damaged]))
    assert differences[0] < differences[1] < differences[2]


def test_augment_with_equal_seed_gives_equal_bytes(face: np.ndarray) -> None:
    for seed in range(20):
        first, second = (augment(face, np.random.default_rng(seed), 0.7, 1.0) for _ in range(2))
        assert np.array_equal(first, second)


def test_augment_leaves_its_input_as_it_was(face: np.ndarray) -> None:
    before = face.copy()
    for seed in range(60):
        augment(face, np.random.default_rng(seed), 1.0, 1.0)
    assert np.array_equal(face, before)


def test_augment_with_no_damage_keeps_the_face_recognisable(face: np.ndarray) -> None:
    differences = [
        np.abs(augment(face, np.random.default_rng(seed), 0.0, 1.0).astype(float) - face).mean() for seed in range(40)
    ]
    damaged = [
        np.abs(augment(face, np.random.default_rng(seed), 1.0, 1.0).astype(float) - face).mean() for seed in range(40)
    ]
    assert np.mean(differences) < 0.8 * np.mean(damaged)
