from __future__ import annotations

import json

import numpy as np
import pytest

from qcface_sdk.evaluation import LADDER_SEED, LEVELS, climb, score_all_pairs
from qcface_train.evaluation import protocol
from qcface_train.evaluation.lfw import VerificationSet


@pytest.fixture(scope="module")
def faces() -> VerificationSet:
    rng = np.random.default_rng(0)
    subjects = np.array(["a", "b", "b", "c", "c", "c", "d", "d"])
    crops = rng.integers(0, 256, (8, 112, 112, 3), dtype=np.uint8)
    pairs = np.array([[1, 2], [3, 4], [0, 1], [0, 2]])
    same = np.array([True, True, False, False])
    return VerificationSet(tuple("abcdefgh"), crops, subjects, pairs, same, 1)


def embed(crops: np.ndarray, title: str = "") -> np.ndarray:
    """Grey contrast as magnitude, mean colours as direction."""
    means = crops.reshape(len(crops), -1, 3).mean(axis=1) + 1
    spread = crops.reshape(len(crops), -1).std(axis=1, keepdims=True) + 1
    return (means / np.linalg.norm(means, axis=1, keepdims=True) * spread).astype(np.float32)


def test_choose_ladder_faces_takes_two_pictures_of_people_that_have_two(faces: VerificationSet) -> None:
    first, second = protocol.choose_ladder_faces(faces.subjects, 10)
    assert (first.tolist(), second.tolist()) == ([1, 3, 6], [2, 4, 7])
    first, _ = protocol.choose_ladder_faces(faces.subjects, 2)
    assert first.tolist() == [1, 6]


def test_climb_ladder_measures_the_tabled_rungs_with_the_tabled_seeds(faces: VerificationSet) -> None:
    embeddings = embed(faces.crops)
    ladder = protocol.climb_ladder(embed, faces, embeddings, 3)
    rungs = embed(climb(faces.crops[3], "occlusion", seed=LADDER_SEED + 1)).astype(float)
    np.testing.assert_allclose(ladder.magnitudes["occlusion"][1], np.linalg.norm(rungs, axis=1), rtol=1e-5)
    mate = embeddings[4] / np.linalg.norm(embeddings[4])
    expected = rungs @ mate / np.linalg.norm(rungs, axis=1)
    np.testing.assert_allclose(ladder.similarities["occlusion"][1], expected, rtol=1e-5)
    assert all(values.shape == (3, LEVELS + 1) for values in ladder.magnitudes.values())


def test_measure_ladder_blur_lowers_contrast_of_noise_pictures(faces: VerificationSet) -> None:
    ladder = protocol.climb_ladder(embed, faces, embed(faces.crops), 3)
    figures = protocol.measure_ladder(ladder, threshold=2.0)
    assert figures["blur"]["spearman"] == pytest.approx(-1.0)
    assert figures["blur"]["monotone_share"] == 1.0
    assert figures["blur"]["monotone_interval"] == [1.0, 1.0]
    mean = protocol.measure_ladder_mean(ladder)
    assert mean["spearman"] == pytest.approx(np.mean([found["spearman"] for found in figures.values()]))
    assert mean["interval"][0] <= mean["spearman"] <= mean["interval"][1]
    assert figures["blur"]["fnmr"] == [1.0] * (LEVELS + 1)


def test_measure_magnitude_counts_what_lies_outside(faces: VerificationSet) -> None:
    rungs = {"blur": np.array([[5.0, 2.0]])}
    ladder = protocol.LadderScores(rungs, {"blur": np.zeros((1, 2))}, np.ones(1), np.zeros(1, int))
    figures = protocol.measure_magnitude(
        np.array([0.5, 1.0, 50.0, 120.0]), np.arange(4), ladder, la=1.0, ua=100.0, replicates=200
    )
    assert (figures["clean"]["below_la"], figures["clean"]["above_ua"]) == (0.25, 0.25)
    assert figures["with_ladder"]["faces"] == 5
    low, high = figures["clean"]["span_interval"]
    assert 0 <= low < figures["clean"]["span_share"] <= high <= 1


def test_measure_rejection_without_errors_says_so_instead_of_nan() -> None:
    labels = np.repeat(np.arange(40), 2)
    embeddings = np.eye(40)[labels]
    scores = score_all_pairs(embeddings, labels, tail=0.5)
    qualities = {"magnitude": np.arange(80.0), "random": np.ones(80)}
    figures = protocol.measure_rejection(scores, qualities, replicates=20)
    assert figures["measures"]["magnitude"]["factor"] is None
    assert figures["measures"]["magnitude"]["area_intervals"]["FMR 0.001"]["0.2"] == [0.0, 0.0]
    assert figures["differences"]["random"]["interval"] is None
    json.dumps(figures, allow_nan=False)
