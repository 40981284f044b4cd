"""The search against NumPy, and the index against a plain list."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.gallery.index import Index


def unit_rows(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    rows = rng.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def filled(vectors: np.ndarray, names: list[str]) -> Index:
    index = Index()
    index.append(list(range(1, len(vectors) + 1)), names, list(vectors))
    return index


def searched(vectors: np.ndarray, names: list[str], probe: np.ndarray, k: int) -> list[tuple[str, float]]:
    """Slow reference: sort all rows, keep each name's first."""
    scores = vectors.astype(np.float64) @ probe.astype(np.float64)
    best: dict[str, float] = {}
    for row in np.argsort(-scores, kind="stable"):
        best.setdefault(names[row], scores[row])
    return list(best.items())[:k]


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 300),
    people=st.integers(1, 40),
    dimension=st.sampled_from([1, 7, 64, 512]),
    probes=st.integers(1, 5),
    k=st.integers(1, 50),
)
def test_search_random_rows_equals_sorting_all(seed, rows, people, dimension, probes, k):
    rng = np.random.default_rng(seed)
    # In one dimension all scores are equal to within a sign: then the order is that of enrolment.
    vectors, asked = unit_rows(rng, rows, dimension), unit_rows(rng, probes, dimension)
    names = [f"p{number}" for number in rng.integers(0, people, rows)]
    found = filled(vectors, names).snapshot().search(asked, k)
    assert len(found) == probes
    for candidates, probe in zip(found, asked, strict=True):
        wanted = searched(vectors, names, probe, k)
        assert [candidate.subject for candidate in candidates] == [name for name, _ in wanted]
        np.testing.assert_allclose([c.similarity for c in candidates], [score for _, score in wanted], atol=1e-6)


@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.lists(st.tuples(st.booleans(), st.integers(1, 70)), min_size=1, max_size=8),
)
def test_index_appends_and_removals_equal_a_plain_list(seed, steps):
    rng = np.random.default_rng(seed)
    index, rows, last_id = Index(), [], 0
    for is_append, count in steps:
        if is_append or not rows:
            new = unit_rows(rng, count, 16)
            ids = list(range(last_id + 1, last_id + 1 + count))
            names = [f"p{number}" for number in rng.integers(0, 30, count)]
            index.append(ids, names, list(new))
            rows += list(zip(ids, names, new, strict=True))
            last_id = ids[-1]
        else:
            gone = {name for _, name, _ in rows[: count // 10 + 1]}
            rows = [row for row in rows if row[1] not in gone]
            index.keep(np.array([row[0] for row in rows], np.int64))
        snapshot = index.snapshot()
        assert snapshot.subjects == len({name for _, name, _ in rows})
        assert index.last_id == (rows[-1][0] if rows else 0)
        assert [snapshot.names[owner] for owner in snapshot.owners] == [name for _, name, _ in rows]
        assert len(snapshot.matrix) == len(rows)
        if rows:
            np.testing.assert_array_equal(snapshot.matrix, np.stack([vector for _, _, vector in rows]))


def test_search_subject_with_many_templates_hides_nobody():
    rng = np.random.default_rng(1)
    centre = unit_rows(rng, 1, 64)[0]
    crowd = centre + 0.01 * rng.normal(size=(200, 64))
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    vectors = np.concatenate([unit_rows(rng, 2, 64), crowd.astype(np.float32)])
    found = filled(vectors, ["a", "b", *["crowd"] * 200]).snapshot().search(centre[None], 3)[0]
    assert found[0].subject == "crowd"
    assert {candidate.subject for candidate in found} == {"a", "b", "crowd"}


def test_search_equal_templates_first_enrolled_comes_first():
    vector = unit_rows(np.random.default_rng(2), 1, 64)
    found = filled(np.repeat(vector, 20, axis=0), [f"p{n:02}" for n in range(20)]).snapshot().search(vector, 4)[0]
    assert [candidate.subject for candidate in found] == ["p00", "p01", "p02", "p03"]


def test_search_similarity_never_leaves_its_range():
    vectors = unit_rows(np.random.default_rng(3), 200, 512)
    index = filled(np.concatenate([vectors, -vectors]), [f"p{n}" for n in range(400)])
    for candidates in index.snapshot().search(vectors, 400):
        assert candidates[0].similarity <= 1.0
        assert candidates[-1].similarity >= -1.0


def test_snapshot_later_changes_do_not_reach_it():
    rng = np.random.default_rng(4)
    vectors = unit_rows(rng, 100, 16)
    index = filled(vectors[:50], [f"p{n}" for n in range(50)])
    before = index.snapshot()
    index.append(list(range(51, 101)), [f"p{n}" for n in range(50, 100)], list(vectors[50:]))
    middle = index.snapshot()
    index.keep(np.arange(10, 101))
    assert (before.subjects, middle.subjects, index.snapshot().subjects) == (50, 100, 91)
    for snapshot, end in ((before, 50), (middle, 100)):
        found = snapshot.search(vectors, 1)
        assert [c[0].subject for c in found[:end]] == [f"p{n}" for n in range(end)]
        assert all(c[0].subject in {f"p{n}" for n in range(end)} for c in found)
    assert index.snapshot().search(vectors[:1], 1)[0][0].subject != "p0"


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 1000])
def test_append_one_by_one_equals_all_at_once(rows):
    vectors = unit_rows(np.random.default_rng(5), rows, 8)
    index = Index()
    for number, vector in enumerate(vectors):
        index.append([number + 1], ["one"], [vector])
    np.testing.assert_array_equal(index.snapshot().matrix, vectors)
    assert index.snapshot().subjects == 1
