"""The cosine head and the margin, and how the two losses divide the gradient between direction and length."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from qcface_train.heads import ArcMargin, CosineHead  # noqa: E402
from qcface_train.recognizability import NormTarget, guidance, norm_loss  # noqa: E402

N, D, C = 6, 16, 11
LABELS = torch.tensor([0, 3, 5, 5, 10, 2])


@pytest.fixture
def head() -> CosineHead:
    torch.manual_seed(4)
    return CosineHead(C, D)


@pytest.fixture
def embeddings() -> Tensor:
    torch.manual_seed(5)
    return torch.randn(N, D, requires_grad=True)


def losses(embeddings: Tensor, head: CosineHead) -> tuple[Tensor, Tensor]:
    cosines = head(embeddings)
    identity = F.cross_entropy(ArcMargin()(cosines, LABELS), LABELS)
    p = guidance(cosines, LABELS, 8.0)
    return identity, norm_loss(embeddings.norm(dim=1), p, NormTarget()).mean()


def test_head_gives_cosines_whatever_the_length_of_the_weights(head: CosineHead, embeddings: Tensor) -> None:
    with torch.no_grad():
        expected = torch.stack([F.cosine_similarity(e[None], head.weight) for e in embeddings])
        assert torch.allclose(head(embeddings), expected, atol=1e-6)
        head.weight.mul_(3.0)
        assert torch.allclose(head(embeddings), expected, atol=1e-6)


def test_start_from_sets_the_directions(head: CosineHead) -> None:
    centres = torch.randn(C, D)
    head.start_from(centres)
    assert torch.allclose(torch.diagonal(head(centres)), torch.ones(C), atol=1e-6)
    with pytest.raises(ValueError, match="expected centres"):
        head.start_from(torch.randn(C + 1, D))


@pytest.mark.parametrize("degrees", [1.0, 30.0, 60.0, 89.0, 91.0, 120.0, 150.0])
def test_margin_enlarges_the_own_angle_only(degrees: float) -> None:
    theta = math.radians(degrees)
    cosines = torch.tensor([[math.cos(theta), 0.3, -0.2]])
    logits = ArcMargin(0.5, 64.0)(cosines, torch.tensor([0]))
    assert logits[0].tolist() == pytest.approx([64 * math.cos(theta + 0.5), 64 * 0.3, -64 * 0.2], abs=2e-4)


def test_margin_falls_steadily_over_the_whole_range_of_angles() -> None:
    """The "easy margin" jumps up again behind 90 degrees."""
    cosines = torch.cos(torch.linspace(0, math.pi, 2001))[:, None]
    targets = ArcMargin()(cosines, torch.zeros(2001, dtype=torch.int64))[:, 0]
    # A float32 step of the cosine near 0 degrees is far below this.
    assert (targets[1:] - targets[:-1]).max() <= 1e-4


@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_margin_at_parallel_vectors_has_a_finite_gradient(cosine: float) -> None:
    cosines = torch.tensor([[cosine, 0.1]], requires_grad=True)
    F.cross_entropy(ArcMargin()(cosines, torch.tensor([0])), torch.tensor([0])).backward()
    assert cosines.grad is not None
    assert torch.isfinite(cosines.grad).all()


def test_margin_leaves_the_given_cosines_as_they_are() -> None:
    cosines = torch.rand(N, C)
    before = cosines.clone()
    ArcMargin()(cosines, LABELS)
    assert torch.equal(cosines, before)


def test_identity_loss_turns_and_norm_loss_stretches(head: CosineHead, embeddings: Tensor) -> None:
    identity, quality = losses(embeddings, head)
    (turn,) = torch.autograd.grad(identity, embeddings, retain_graph=True)
    (stretch,) = torch.autograd.grad(quality, embeddings)
    assert F.cosine_similarity(turn, embeddings).abs().max() < 1e-5
    assert F.cosine_similarity(stretch, embeddings).abs().min() > 1 - 1e-5


def test_norm_loss_sends_nothing_into_the_class_weights(head: CosineHead, embeddings: Tensor) -> None:
    _, quality = losses(embeddings, head)
    (gradient,) = torch.autograd.grad(quality, head.weight, allow_unused=True)
    assert gradient is None


def test_norm_loss_gradient_equals_finite_differences_along_the_embedding(head: CosineHead, embeddings: Tensor) -> None:
    _, quality = losses(embeddings, head)
    (gradient,) = torch.autograd.grad(quality, embeddings)
    p = guidance(head(embeddings), LABELS, 8.0)
    with torch.no_grad():
        z = embeddings.norm(dim=1)
        step = 1e-2
        slopes = (norm_loss(z + step, p, NormTarget()) - norm_loss(z - step, p, NormTarget())) / (2 * step) / N
        along = (gradient * F.normalize(embeddings, dim=1)).sum(1)
    assert along.tolist() == pytest.approx(slopes.tolist(), rel=1e-2)


def test_identity_loss_does_not_change_with_the_length_of_the_embedding(head: CosineHead, embeddings: Tensor) -> None:
    short, long = (losses(factor * embeddings, head)[0].item() for factor in (1, 3))
    assert short == pytest.approx(long, abs=1e-5)
