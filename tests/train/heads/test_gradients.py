"""How QCFace divides the gradient, with each of its heads: identity turns the embedding, quality stretches it."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from qcface_train.arguments import LossArguments  # noqa: E402
from qcface_train.heads import CosineHead, build_margin  # noqa: E402
from qcface_train.norm_terms import build_norm_term  # noqa: E402
from qcface_train.recognizability import guidance  # noqa: E402

N, D, C = 6, 16, 11
LABELS = torch.tensor([0, 3, 5, 5, 10, 2])
P_SCALE = 8.0

pytestmark = pytest.mark.parametrize("name", ["arc", "curricular", "mv"])


def make() -> tuple[CosineHead, Tensor]:
    torch.manual_seed(4)
    return CosineHead(C, D), torch.randn(N, D, requires_grad=True)


def losses(embeddings: Tensor, head: CosineHead, name: str) -> tuple[Tensor, Tensor]:
    """Identity loss and norm loss, put together as the loop does."""
    recipe = LossArguments(head=name, p_scale=P_SCALE)
    cosines, norms = head(embeddings), embeddings.norm(dim=1)
    identity = F.cross_entropy(build_margin(recipe).eval()(cosines, LABELS, norms), LABELS)
    term = build_norm_term(recipe)
    assert term is not None
    return identity, term(norms, guidance(cosines, LABELS, P_SCALE)).mean()


def test_identity_loss_turns_and_norm_loss_stretches(name: str) -> None:
    head, embeddings = make()
    identity, quality = losses(embeddings, head, name)
    (turn,) = torch.autograd.grad(identity, embeddings, retain_graph=True)
    (stretch,) = torch.autograd.grad(quality, embeddings)
    assert F.cosine_similarity(turn, embeddings).abs().max() < 1e-5
    assert F.cosine_similarity(stretch, embeddings).abs().min() > 1 - 1e-5
    assert F.cosine_similarity(turn, stretch).abs().max() < 1e-5


def test_norm_loss_sends_nothing_into_the_class_weights(name: str) -> None:
    head, embeddings = make()
    identity, quality = losses(embeddings, head, name)
    (gradient,) = torch.autograd.grad(quality, head.weight, allow_unused=True)
    assert gradient is None
    (gradient,) = torch.autograd.grad(identity, head.weight)
    assert float(gradient.abs().sum()) > 0


def test_norm_loss_gradient_equals_finite_differences_along_the_embedding(name: str) -> None:
    head, embeddings = make()
    (gradient,) = torch.autograd.grad(losses(embeddings, head, name)[1], embeddings)
    step = 1e-3
    with torch.no_grad():
        units = F.normalize(embeddings, dim=1)
        for row in range(N):
            moved = [embeddings.clone() for _ in range(2)]
            for sign, copy in zip((1, -1), moved, strict=True):
                copy[row] += sign * step * units[row]
            up, down = (losses(copy, head, name)[1].double() for copy in moved)
            assert float(gradient[row] @ units[row]) == pytest.approx(float(up - down) / (2 * step), rel=0.05, abs=1e-2)


def test_identity_loss_does_not_change_with_the_length_of_the_embedding(name: str) -> None:
    head, embeddings = make()
    short, long = (losses(factor * embeddings, head, name)[0].item() for factor in (1, 3))
    assert short == pytest.approx(long, abs=1e-4)
