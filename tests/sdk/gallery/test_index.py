"""The search against NumPy, and the index against a plain list."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.gallery import codes, index
from qcface_sdk.gallery.index import Index
from qcface_sdk.gallery.ranking import rank
from qcface_sdk.gallery.rows import CodeBatch, Held
from qcface_sdk.template import Template


def unit_rows(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    rows = rng.normal(size=(count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Store:
    """Float rows by id, in the place of the database."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[str, np.ndarray]] = {}

    def read(self, ids: list[int]) -> list[Held]:
        return [
            Held(number, "", name, None, None, Template("qc1-x", vector, 1.0, 1, 1.0))
            for number in ids
            if number in self.rows
            for name, vector in [self.rows[number]]
        ]


def append(store: Store, to: Index, first: int, vectors: np.ndarray, names: list[str]) -> None:
    ids = np.arange(first, first + len(vectors))
    to.append(CodeBatch(ids, *codes.quantised(vectors)))
    store.rows.update(zip(ids.tolist(), zip(names, vectors, strict=True), strict=True))


def filled(vectors: np.ndarray, names: list[str]) -> tuple[Store, Index]:
    store, made = Store(), Index()
    append(store, made, 1, vectors, names)
    return store, made


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
    block=st.sampled_from([16, 64, 65_536]),
)
def test_search_random_rows_equals_sorting_all(seed, rows, people, dimension, probes, k, block):
    rng = np.random.default_rng(seed)
    # In one dimension all scores are equal to within a sign: then the order is that of enrolment.
    vectors, asked = unit_rows(rng, rows, dimension), unit_rows(rng, probes, dimension)
    names = [f"p{number}" for number in rng.integers(0, people, rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_BLOCK_ROWS", block)
        store, made = filled(vectors, names)
    found = rank(made.snapshot(), asked, k, store.read)
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
    store, made, last_id = Store(), Index(), 0
    for is_append, count in steps:
        if is_append or not store.rows:
            names = [f"p{number}" for number in rng.integers(0, 30, count)]
            append(store, made, last_id + 1, unit_rows(rng, count, 16), names)
            last_id += count
        else:
            gone = {name for name, _ in list(store.rows.values())[: count // 10 + 1]}
            ids = [number for number, (name, _) in store.rows.items() if name in gone]
            made.drop(ids)
            for number in ids:
                del store.rows[number]
        snapshot = made.snapshot()
        assert (snapshot.rows, made.last_id) == (len(store.rows), last_id)
        if store.rows:
            ids, scores = snapshot.scan(unit_rows(rng, 1, 16), last_id)
            assert sorted(ids[0][ids[0] > 0].tolist()) == sorted(store.rows)
            assert np.isneginf(scores[0][ids[0] == 0]).all()
            vectors = np.stack([vector for _, vector in store.rows.values()])
            asked = unit_rows(rng, 1, 16)
            wanted = searched(vectors, [name for name, _ in store.rows.values()], asked[0], 4)
            assert [c.subject for c in rank(snapshot, asked, 4, store.read)[0]] == [name for name, _ in wanted]


@given(seed=st.integers(0, 2**32 - 1), dimension=st.sampled_from([1, 8, 64, 512]), shape=st.sampled_from([1.0, 4.0]))
def test_slack_bounds_every_error_of_a_score(seed, dimension, shape):
    rng = np.random.default_rng(seed)
    # Heavy tails: one large number spoils the step of all others.
    vectors = rng.standard_t(2, (200, dimension)) ** shape + 1e-9
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    asked = unit_rows(rng, 3, dimension)
    snapshot = filled(vectors, ["p"] * 200)[1].snapshot()
    ids, scores = snapshot.scan(asked, 200)
    exact = np.take_along_axis(asked.astype(np.float64) @ vectors.T.astype(np.float64), ids - 1, 1)
    assert (np.abs(exact - scores) <= snapshot.slack(asked)[:, None]).all()


def test_search_subject_with_many_templates_hides_nobody():
    rng = np.random.default_rng(1)
    centre = unit_rows(rng, 1, 64)[0]
    crowd = centre + 0.01 * rng.normal(size=(700, 64))
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    vectors = np.concatenate([unit_rows(rng, 2, 64), crowd.astype(np.float32)])
    store, made = filled(vectors, ["a", "b", *["crowd"] * 700])
    found = rank(made.snapshot(), centre[None], 3, store.read)[0]
    assert found[0].subject == "crowd"
    assert {candidate.subject for candidate in found} == {"a", "b", "crowd"}


def test_search_equal_templates_first_enrolled_comes_first():
    vector = unit_rows(np.random.default_rng(2), 1, 64)
    store, made = filled(np.repeat(vector, 20, axis=0), [f"p{n:02}" for n in range(20)])
    found = rank(made.snapshot(), vector, 4, store.read)[0]
    assert [candidate.subject for candidate in found] == ["p00", "p01", "p02", "p03"]


def test_search_similarity_never_leaves_its_range():
    vectors = unit_rows(np.random.default_rng(3), 100, 512)
    store, made = filled(np.concatenate([vectors, -vectors]), [f"p{n}" for n in range(200)])
    for candidates in rank(made.snapshot(), vectors, 200, store.read):
        assert candidates[0].similarity <= 1.0
        assert candidates[-1].similarity >= -1.0


def test_search_by_several_threads_equals_one(monkeypatch):
    monkeypatch.setattr(index, "_BLOCK_ROWS", 64)
    rng = np.random.default_rng(6)
    vectors, names = unit_rows(rng, 500, 64), [f"p{n}" for n in range(500)]
    with ThreadPoolExecutor(3) as pool:
        store, made = filled(vectors, names)
        several = Index(pool)
        several.append(CodeBatch(np.arange(1, 501), *codes.quantised(vectors)))
        alone, together = made.snapshot(), several.snapshot()
        assert len(together.blocks) == 8
        for one, other in zip(alone.scan(vectors[:7], 30), together.scan(vectors[:7], 30), strict=True):
            np.testing.assert_array_equal(one, other)
        assert rank(together, vectors[:7], 3, store.read) == rank(alone, vectors[:7], 3, store.read)


def test_snapshot_later_additions_do_not_reach_it_and_removals_end_in_nobody():
    rng = np.random.default_rng(4)
    vectors = unit_rows(rng, 100, 16)
    store, made = filled(vectors[:50], [f"p{n}" for n in range(50)])
    before = made.snapshot()
    append(store, made, 51, vectors[50:], [f"p{n}" for n in range(50, 100)])
    middle = made.snapshot()
    made.drop(list(range(1, 11)))
    for number in range(1, 11):
        del store.rows[number]
    assert (before.rows, middle.rows, made.snapshot().rows) == (50, 100, 90)
    for snapshot, end in ((before, 50), (middle, 100), (made.snapshot(), 100)):
        found = [candidates[0].subject for candidates in rank(snapshot, vectors, 1, store.read)]
        assert found[10:end] == [f"p{n}" for n in range(10, end)]
        assert not {f"p{n}" for n in range(10)} & set(found)


def test_drop_overwrites_the_codes_at_once():
    vectors = unit_rows(np.random.default_rng(7), 100, 16)
    made = filled(vectors, ["p"] * 100)[1]
    (block,) = made.snapshot().blocks
    made.drop([5, 6])
    assert not block.codes[4:6].any()
    assert block.codes[6].any()


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 500])
def test_append_one_by_one_equals_all_at_once(rows):
    vectors = unit_rows(np.random.default_rng(5), rows, 8)
    store, made = Store(), Index()
    for number, vector in enumerate(vectors):
        append(store, made, number + 1, vector[None], ["one"])
    whole = filled(vectors, ["one"] * rows)[1]
    for one, other in zip(made.snapshot().scan(vectors, rows), whole.snapshot().scan(vectors, rows), strict=True):
        np.testing.assert_array_equal(one, other)
