"""The classifier: cosines of any weights, directions to start from."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from qcface_train.heads import CosineHead, class_centres  # noqa: E402

N, D, C = 6, 16, 11


@pytest.fixture
def head() -> CosineHead:
    torch.manual_seed(4)
    return CosineHead(C, D)


def test_head_without_labels_gives_cosines_whatever_the_length_of_the_weights(head: CosineHead) -> None:
    embeddings = torch.randn(N, D)
    with torch.no_grad():
        expected = torch.stack([F.cosine_similarity(e[None], head.weight) for e in embeddings])
        assert torch.allclose(head(embeddings), expected, atol=1e-6)
        head.weight.mul_(3.0)
        assert torch.allclose(head(embeddings), expected, atol=1e-6)


def test_head_under_autocast_computes_in_float32(head: CosineHead) -> None:
    embeddings = torch.randn(N, D)
    with torch.autocast("cpu", torch.bfloat16):
        cast = head(embeddings)
    assert torch.equal(cast, head(embeddings))


def test_start_from_sets_the_directions(head: CosineHead) -> None:
    centres = torch.randn(C, D)
    head.start_from(centres)
    assert torch.allclose(torch.diagonal(head(centres)), torch.ones(C), atol=1e-6)
    with pytest.raises(ValueError, match="expected centres"):
        head.start_from(torch.randn(C + 1, D))


def test_class_centres_sum_each_class_and_leave_out_pictures_without_one() -> None:
    targets = np.arange(10, dtype=np.float32).reshape(5, 2)
    centres = class_centres(targets, np.array([1, -1, 1, 0, -1]), 3)
    assert centres.tolist() == [[6, 7], [4, 6], [0, 0]]
