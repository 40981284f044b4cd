"""The loss on the length that a recipe names."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from qcface_train.arguments import LossArguments  # noqa: E402
from qcface_train.norm_terms import ConstantNorm, MagFaceNorm, QCFaceNorm, build_norm_term  # noqa: E402
from qcface_train.recognizability import NormTarget, norm_loss  # noqa: E402


def test_build_norm_term_of_each_name() -> None:
    assert build_norm_term(LossArguments(norm="none")) is None
    assert build_norm_term(LossArguments(la=2.0, ua=50.0, anchor_p=0.3)) == QCFaceNorm(NormTarget(2.0, 50.0, 0.3))
    magface = build_norm_term(LossArguments(head="magface", norm="magface", la=10.0, ua=110.0))
    assert magface == MagFaceNorm(10.0, 110.0)


def test_qcface_norm_is_the_norm_loss_of_its_target() -> None:
    norms, p = torch.tensor([5.0, 60.0]), torch.tensor([0.2, 0.9])
    assert torch.equal(QCFaceNorm(NormTarget())(norms, p), norm_loss(norms, p, NormTarget()))


def test_constant_norm_draws_every_length_half_way_whatever_p_is() -> None:
    term = build_norm_term(LossArguments(norm="constant", la=1.0, ua=99.0))
    assert term == ConstantNorm(NormTarget(1.0, 99.0))
    p = torch.tensor([0.0, 0.3, 1.0])
    norms = torch.tensor([49.0, 50.0, 51.0]).repeat(3, 1).T.contiguous().requires_grad_()  # (lengths, p)
    losses = torch.stack([term(row, p) for row in norms])
    assert losses[1].tolist() == pytest.approx([0.0] * 3, abs=1e-4)
    losses.sum().backward()
    assert norms.grad is not None
    assert norms.grad[0].tolist() == pytest.approx([float(norms.grad[0, 0])] * 3)
    assert norms.grad[0, 0] < 0 < norms.grad[2, 0]


def test_magface_norm_equals_its_formula_and_has_no_gradient_outside_the_limits() -> None:
    norms = torch.tensor([3.0, 10.5, 50.0, 200.0], requires_grad=True)
    found = MagFaceNorm()(norms, torch.zeros(4))
    clamped = [10.0, 10.5, 50.0, 110.0]
    assert found.tolist() == pytest.approx([1 / a + a / 110**2 for a in clamped])
    found.sum().backward()
    assert norms.grad is not None
    expected = [0.0, -1 / 10.5**2 + 1 / 110**2, -1 / 50**2 + 1 / 110**2, 0.0]
    assert norms.grad.tolist() == pytest.approx(expected)
