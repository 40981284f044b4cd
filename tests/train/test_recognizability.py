"""The norm loss against the mathematics: scalar minimiser, published constants, and the faults of other codes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from qcface_sdk.recognizability import recognizability  # noqa: E402
from qcface_train.recognizability import (  # noqa: E402
    NormTarget,
    coefficients,
    guidance,
    norm_loss,
    optimal_norm,
    recognizability_from_norm,
)

TARGET = NormTarget()


def f(z: float, p: float, k: float, ua: float = 100.0, la: float = 1.0) -> float:
    """The loss as the paper writes it, in float64."""
    return k * p * (1 / z + z / ua**2) + (1 - p) * (1 / z + z / la**2)


def minimiser(p: float, k: float) -> float:
    """Golden-section search for the z that minimises f on [0.5, 150]."""
    low, high, ratio = 0.5, 150.0, (5**0.5 - 1) / 2
    for _ in range(200):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if f(left, p, k) < f(right, p, k) else (left, high)
    return (low + high) / 2


@pytest.mark.parametrize(
    ("ua", "la", "k"),
    [(100, 1, 3421.926910299003), (110, 10, 49.823529411765), (51, 1, 912.038961038961), (60, 10, 17.052631578947)],
)
def test_k_for_known_limits_equals_the_closed_form(ua: float, la: float, k: float) -> None:
    assert NormTarget(la=la, ua=ua).k == pytest.approx(k, rel=1e-12)


@pytest.mark.parametrize("anchor", [0.1, 0.5, 0.9])
def test_optimal_norm_at_the_anchor_is_half_way(anchor: float) -> None:
    target = NormTarget(anchor_p=anchor)
    at = optimal_norm(torch.tensor([0.0, anchor, 1.0]), target)
    assert at.tolist() == pytest.approx([1.0, 50.5, 100.0], rel=1e-5)


@pytest.mark.parametrize(
    ("p", "z"),
    [(1e-4, 1.159), (0.001, 2.103), (0.01, 5.953), (0.05, 13.34), (0.1, 19.16), (0.25, 32.01), (0.75, 71.18)],
)
def test_optimal_norm_equals_the_scalar_minimiser(p: float, z: float) -> None:
    found = float(optimal_norm(torch.tensor([p]), TARGET))
    assert found == pytest.approx(minimiser(p, TARGET.k), rel=1e-4)
    assert found == pytest.approx(z, abs=0.006)


@given(st.floats(0, 1), st.floats(0.2, 300))
def test_norm_loss_equals_the_difference_of_the_paper(p: float, z: float) -> None:
    k = TARGET.k
    a, b = (k - 1) * p + 1, k * p / 1e4 + (1 - p)
    expected = f(z, p, k) - 2 * np.sqrt(a * b)
    ours = float(norm_loss(torch.tensor([z]), torch.tensor([p]), TARGET))
    assert ours >= 0
    assert ours == pytest.approx(expected, rel=2e-3, abs=2e-3 * (1 + a / z**2))


def test_norm_loss_at_the_optimum_is_zero() -> None:
    p = torch.linspace(0, 1, 101)
    assert float(norm_loss(optimal_norm(p, TARGET), p, TARGET).max()) == 0.0


@pytest.mark.parametrize("shapes", [((4, 1), (4,)), ((4,), (4, 1)), ((4, 1), (4, 1)), ((4,), (3,))])
def test_norm_loss_for_shapes_that_would_broadcast_raises(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="must both have shape"):
        norm_loss(torch.ones(shapes[0]), torch.ones(shapes[1]), TARGET)


@given(st.floats(0, 1), st.floats(0.5, 150), st.floats(0.1, 20))
def test_norm_loss_falls_with_the_size_of_both_limits(p: float, z: float, factor: float) -> None:
    """Limits and length ten times as large make the loss a tenth; lambda has to make up for it."""
    small, large = NormTarget(la=1.0, ua=60.0), NormTarget(la=factor, ua=60.0 * factor)
    assert large.k == pytest.approx(small.k)
    at = norm_loss(torch.tensor([z]), torch.tensor([p]), small)
    scaled = norm_loss(torch.tensor([z * factor]), torch.tensor([p]), large)
    assert float(scaled) * factor == pytest.approx(float(at), rel=1e-3, abs=1e-3)


def test_norm_loss_pulls_each_sample_to_its_own_optimum() -> None:
    """A loss of shape (N, N) pulls all samples to one common norm."""
    p = torch.tensor([0.02] * 3 + [0.99] * 7)
    z = torch.full((10,), 50.0, requires_grad=True)
    optimiser = torch.optim.Adam([z], lr=0.5)
    for _ in range(600):
        optimiser.zero_grad()
        norm_loss(z, p, TARGET).sum().backward()
        optimiser.step()
    assert z.detach()[:3].tolist() == pytest.approx([8.4] * 3, abs=0.2)
    assert z.detach()[3:].tolist() == pytest.approx([98.6] * 7, abs=0.2)


def test_norm_loss_of_a_vanishing_embedding_has_a_finite_gradient() -> None:
    z = torch.tensor([0.0, 1e-20, 1e-3], requires_grad=True)
    norm_loss(z, torch.ones(3), TARGET).sum().backward()
    assert z.grad is not None
    assert torch.isfinite(z.grad).all()


def test_norm_loss_with_a_tiny_lower_limit_still_reaches_it() -> None:
    """The guard of vanishing embeddings must lie below the optimum of the least recognizable face."""
    target = NormTarget(la=0.04, ua=4.0)
    at = torch.tensor([0.04, 0.05], requires_grad=True)
    loss = norm_loss(at, torch.zeros(2), target)
    loss.sum().backward()
    assert float(loss.detach()[0]) == pytest.approx(0.0, abs=1e-6)
    assert at.grad is not None
    assert at.grad[1] > 0


def test_norm_loss_sends_no_gradient_into_p() -> None:
    p = torch.tensor([0.3], requires_grad=True)
    z = torch.tensor([20.0], requires_grad=True)
    norm_loss(z, p, TARGET).sum().backward()
    assert p.grad is None


def test_recognizability_from_norm_inverts_the_optimum() -> None:
    p = torch.linspace(0, 1, 51)
    assert recognizability_from_norm(optimal_norm(p, TARGET), TARGET).tolist() == pytest.approx(p.tolist(), abs=1e-5)


def test_recognizability_from_norm_equals_the_sdk() -> None:
    z = np.array([0.0, 0.5, 1.0, 3.0, 22.6, 50.5, 99.0, 100.0, 500.0])
    ours = recognizability_from_norm(torch.from_numpy(z), TARGET).numpy()
    np.testing.assert_allclose(ours, recognizability(z), atol=1e-5)


def test_guidance_multiplies_by_the_scale() -> None:
    """Subtracting the scale instead leaves the softmax at temperature 1 and p near 1 / C."""
    cosines = torch.full((1, 1000), 0.0)
    cosines[0, 7] = 0.5
    p = float(guidance(cosines, torch.tensor([7]), 64.0))
    assert p == pytest.approx(1 / (1 + 999 * np.exp(-32)), rel=1e-5)
    assert p > 0.99


def test_guidance_has_one_value_for_each_sample_and_no_gradient() -> None:
    cosines = torch.rand(5, 9, requires_grad=True)
    p = guidance(cosines, torch.arange(5), 64.0)
    assert p.shape == (5,)
    assert not p.requires_grad
    assert p.dtype == torch.float32


def test_guidance_under_autocast_is_computed_in_float32() -> None:
    cosines = torch.rand(4, 50)
    plain = guidance(cosines, torch.arange(4), 64.0)
    with torch.autocast("cpu", torch.bfloat16):
        cast = guidance(cosines, torch.arange(4), 64.0)
    assert torch.equal(plain, cast)


def test_guidance_of_wrong_shapes_raises() -> None:
    with pytest.raises(ValueError, match="expected cosines"):
        guidance(torch.rand(4, 5), torch.zeros(3, dtype=torch.int64), 64.0)


@pytest.mark.parametrize("values", [(0, 100, 0.5), (5, 5, 0.5), (1, 100, 0.0), (1, 100, 1.0)])
def test_norm_target_of_impossible_constants_raises(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="expected 0 < la < ua|anchor_p"):
        NormTarget(*values)


def test_coefficients_at_the_ends_are_those_of_the_two_regularisers() -> None:
    a, b = coefficients(torch.tensor([0.0, 1.0]), TARGET)
    assert a.tolist() == pytest.approx([1.0, TARGET.k])
    assert b.tolist() == pytest.approx([1.0, TARGET.k / 1e4])
