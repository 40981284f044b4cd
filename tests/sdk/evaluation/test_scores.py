from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcface_sdk.errors import InputError, NotFiniteError, OptionError, ShapeError
from qcface_sdk.evaluation.scores import HISTOGRAM_BINS, score_all_pairs, score_pairs


def compare_by_hand(embeddings: np.ndarray, labels: list) -> tuple[list, list]:
    genuine, impostor = [], []
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            a, b = embeddings[i].astype(float), embeddings[j].astype(float)
            cosine = a @ b / np.sqrt((a @ a) * (b @ b))
            (genuine if labels[i] == labels[j] else impostor).append((cosine, i, j))
    return genuine, sorted(impostor, reverse=True)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(4, 40), block=st.integers(1, 50))
def test_score_all_pairs_random_faces_equals_double_loop(seed: int, count: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [0, 0, 1, *rng.integers(0, 6, count - 3).tolist()]
    embeddings = rng.normal(size=(count, 8)) * rng.uniform(0.1, 50, (count, 1))
    genuine, impostor = compare_by_hand(embeddings, labels)
    scores = score_all_pairs(embeddings, labels, tail=0.999, block=block)
    assert scores.impostor_count == len(impostor)
    assert scores.histogram.sum() == len(impostor)
    # float32 unit vectors of 8 numbers: a few units in the last place of 1.
    found = {(i, j): s for (i, j), s in zip(scores.genuine_pairs.tolist(), scores.genuine, strict=True)}
    assert {(i, j) for _, i, j in genuine} == set(found)
    assert all(abs(found[i, j] - s) < 1e-6 for s, i, j in genuine)
    kept = len(scores.impostor)
    np.testing.assert_allclose(scores.impostor, [s for s, _, _ in impostor[:kept]], atol=1e-6)


def test_score_all_pairs_short_tail_keeps_exactly_the_highest() -> None:
    rng = np.random.default_rng(1)
    embeddings, labels = rng.normal(size=(300, 16)), rng.integers(0, 80, 300)
    whole = score_all_pairs(embeddings, labels, tail=0.999)
    short = score_all_pairs(embeddings, labels, tail=0.01, block=17)
    assert len(short.impostor) == int(np.ceil(0.01 * whole.impostor_count)) + 1
    np.testing.assert_allclose(short.impostor, whole.impostor[: len(short.impostor)], atol=1e-6)
    assert (np.diff(short.impostor) <= 0).all()
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    rows, columns = short.impostor_pairs.T
    np.testing.assert_allclose((unit[rows] * unit[columns]).sum(axis=1), short.impostor, atol=1e-6)
    assert (labels[rows] != labels[columns]).all()
    assert short.largest_fmr == pytest.approx(0.01, rel=0.01)


def test_score_all_pairs_histogram_places_scores_in_their_bins() -> None:
    embeddings = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    scores = score_all_pairs(embeddings, ["a", "a", "b", "c"])
    counts = {int(place): int(scores.histogram[place]) for place in np.flatnonzero(scores.histogram)}
    assert counts == {0: 2, HISTOGRAM_BINS // 2: 3}


def test_score_all_pairs_text_labels_equal_numbers() -> None:
    rng = np.random.default_rng(2)
    embeddings = rng.normal(size=(20, 4))
    numbers = np.repeat(np.arange(5), 4)
    by_number = score_all_pairs(embeddings, numbers)
    by_name = score_all_pairs(embeddings, [f"p{n}" for n in numbers])
    assert np.array_equal(by_number.impostor, by_name.impostor)
    assert by_name.subject_count == 5


def test_pair_scores_arrays_are_read_only() -> None:
    scores = score_all_pairs(np.eye(3), [0, 0, 1])
    with pytest.raises(ValueError, match="read-only"):
        scores.genuine[0] = 1.0


def test_score_pairs_listed_pairs_gives_their_cosine() -> None:
    embeddings = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    assert score_pairs(embeddings, np.array([[0, 1], [0, 2]])).tolist() == pytest.approx([0.0, np.sqrt(0.5)])


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]], ids=["no genuine pair", "no impostor pair"])
def test_score_all_pairs_one_sided_labels_raises_input_error(labels: list[int]) -> None:
    with pytest.raises(InputError, match="two faces of one person and two people"):
        score_all_pairs(np.eye(3), labels)


def test_score_all_pairs_bad_arguments_raise_named_errors() -> None:
    with pytest.raises(ShapeError):
        score_all_pairs(np.ones(3), [0, 0, 1])
    with pytest.raises(ShapeError, match="one per face"):
        score_all_pairs(np.eye(3), [0, 0])
    with pytest.raises(NotFiniteError):
        score_all_pairs(np.full((3, 2), np.nan), [0, 0, 1])
    with pytest.raises(NotFiniteError, match="zero"):
        score_all_pairs(np.zeros((3, 2)), [0, 0, 1])
    with pytest.raises(OptionError):
        score_all_pairs(np.eye(3), [0, 0, 1], tail=0.0)
    with pytest.raises(ShapeError, match="pairs"):
        score_pairs(np.eye(3), np.array([[0, 3]]))
