from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import OptionError, ShapeError
from qcface_sdk.evaluation import pool_templates


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=20), st.integers(0, 10**6))
def test_pool_templates_any_labels_equals_nested_means(labels: list[tuple[int, int]], seed: int) -> None:
    raw = np.random.default_rng(seed).normal(size=(len(labels), 3)).astype(np.float32)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    templates, media = (list(side) for side in zip(*labels, strict=True))
    for weights, rows in (("equal", unit), ("magnitude", raw)):
        found = pool_templates(raw, templates, media, weights=weights)
        for number, name in enumerate(sorted(set(templates))):
            own = sorted({m for t, m in labels if t == name})
            means = [
                np.mean([r for r, pair in zip(rows, labels, strict=True) if pair == (name, m)], axis=0) for m in own
            ]
            np.testing.assert_allclose(found.embeddings[number], np.mean(means, axis=0), atol=1e-5)
            assert found.media[number] == len(own)
        assert found.names.tolist() == sorted(set(templates))


def test_pool_templates_length_does_not_grow_with_the_number_of_pictures() -> None:
    """Summing media would make a template of many pictures look like a good one."""
    raw = np.tile([[3.0, 4.0]], (10, 1))
    pooled = pool_templates(raw, ["few", *["many"] * 9], range(10))
    assert np.linalg.norm(pooled.embeddings, axis=1).tolist() == pytest.approx([5.0, 5.0])


def test_pool_templates_a_long_video_counts_as_one_photograph() -> None:
    raw = np.array([[1.0, 0.0], *[[0.0, 1.0]] * 99])
    pooled = pool_templates(raw, [7] * 100, [0] + [1] * 99, weights="equal")
    assert pooled.embeddings[0].tolist() == pytest.approx([0.5, 0.5])


def test_pool_templates_bad_arguments_raise() -> None:
    with pytest.raises(ShapeError, match="one label per picture"):
        pool_templates(np.eye(3), [1, 2], [1, 2, 3])
    with pytest.raises(OptionError, match="weights"):
        pool_templates(np.eye(3), [1, 2, 3], [1, 2, 3], weights="norm")
