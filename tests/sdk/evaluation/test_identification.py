from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import InputError, OptionError
from qcface_sdk.evaluation import best_scores, miss_rate, search_probes


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_search_probes_any_faces_ranks_as_sorting_people_does(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    gallery, labels = rng.normal(size=(9, 4)), np.array(list("aabbcdefg"))
    probes, people = rng.normal(size=(5, 4)), np.array(list("abcaf"))
    found = search_probes(probes, people, gallery, labels, block=block)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (probes, gallery)]
    for row, person in enumerate(people):
        best = {name: max(unit[1][labels == name] @ unit[0][row]) for name in set(labels)}
        order = sorted(best, key=lambda name: -best[name])
        assert found.ranks[row] == order.index(person) + 1
        assert found.mate_scores[row] == pytest.approx(best[person], abs=1e-6)
    assert found.people == 7
    assert found.rate(7) == 1.0
    assert found.rate(1) == np.mean(found.ranks == 1)


def test_search_probes_equal_scores_are_ranked_against_the_probe() -> None:
    gallery = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert search_probes([[1.0, 0.0]], ["b"], gallery, ["a", "b", "c"]).ranks.tolist() == [2]


def test_search_probes_of_a_stranger_raises() -> None:
    with pytest.raises(InputError, match="1 of 2 are not"):
        search_probes(np.eye(2), ["a", "z"], np.eye(2), ["a", "b"])


def test_miss_rate_counts_wrong_people_and_scores_below_the_threshold() -> None:
    gallery = np.eye(4)
    labels = ["a", "b", "c", "d"]
    probes = np.array([[1, 0.1, 0, 0], [0.9, 1, 0, 0], [0, 1, 0.8, 0], [0.9, 0.9, 0.9, 1.0]])
    search = search_probes(probes, labels, gallery, labels)
    strangers = best_scores(np.array([[1.0, 1, 0, 0], [1.0, 1, 1, 1]]), gallery, labels)
    assert strangers.tolist() == pytest.approx([0.5**0.5, 0.5])
    fnir, threshold = miss_rate(search, strangers, 0.5)
    assert 0.5 < threshold < 0.51
    # the third finds b; the other three are first and above the threshold
    assert fnir == pytest.approx(0.25)
    fnir, threshold = miss_rate(search, strangers, 0.4)
    assert threshold > 0.7
    assert fnir == pytest.approx(0.5)
    with pytest.raises(OptionError, match="fpir"):
        miss_rate(search, strangers, 0)
