"""Each margin against its published formula, one number at a time in float64, and against known faults."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from qcface_train.arguments import HEADS, LossArguments  # noqa: E402
from qcface_train.heads import AdaFace, ArcMargin, CosFace, MagFace, Margin, build_margin, enlarge_angle  # noqa: E402

N, C = 7, 13
LABELS = torch.tensor([0, 3, 5, 5, 10, 2, 12])
NAMES = [name for name in HEADS if name != "magface"]


def make(name: str, **values: object) -> Margin:
    norm = "magface" if name == "magface" else "qcface"
    limits = {"la": 10.0, "ua": 110.0} if name == "magface" else {}
    return build_margin(LossArguments(head=name, norm=norm, **limits, **values))


@pytest.fixture
def cosines() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(N, C) * 1.9 - 0.95


@pytest.fixture
def norms() -> Tensor:
    return torch.linspace(3, 130, N)


@pytest.mark.parametrize("name", HEADS)
def test_forward_scales_all_and_changes_no_input(name: str, cosines: Tensor, norms: Tensor) -> None:
    before = cosines.clone()
    margin = make(name, scale=64.0).eval()
    logits = margin(cosines, LABELS, norms)
    assert logits.shape == (N, C)
    assert torch.equal(cosines, before)
    halved = make(name, scale=32.0).eval()(cosines, LABELS, norms)
    torch.testing.assert_close(logits, 2 * halved)


@pytest.mark.parametrize("name", ["softmax", "cosface", "arc", "magface", "adaface"])
def test_forward_leaves_the_other_classes_as_they_are(name: str, cosines: Tensor, norms: Tensor) -> None:
    logits = make(name)(cosines, LABELS, norms)
    others = torch.ones(N, C, dtype=torch.bool)
    others[torch.arange(N), LABELS] = False
    assert torch.equal(logits[others], 64.0 * cosines[others])


@pytest.mark.parametrize("name", [name for name in HEADS if name != "softmax"])
def test_forward_lowers_the_own_logit_and_no_row_loses_it(name: str, cosines: Tensor, norms: Tensor) -> None:
    """The margined target must be written back: forgetting that loses the margin."""
    logits = make(name)(cosines, LABELS, norms)
    own, plain = (values.gather(1, LABELS[:, None])[:, 0] for values in (logits, 64.0 * cosines))
    assert (own < plain).all()


@pytest.mark.parametrize("name", HEADS)
def test_slices_of_the_classes_give_the_logits_of_the_whole(name: str, cosines: Tensor, norms: Tensor) -> None:
    """What a classifier spread over processes computes."""
    margin = make(name).eval()
    own = cosines.gather(1, LABELS[:, None])[:, 0]
    parts = []
    for first, last in ((0, 5), (5, C)):
        inside = (first <= LABELS) & (last > LABELS)
        columns = torch.where(inside, LABELS - first, -1)
        parts.append(margin.shift(cosines[:, first:last], own, columns, norms))
    assert torch.equal(torch.cat(parts, dim=1), margin(cosines, LABELS, norms))


@pytest.mark.parametrize("shapes", [((N, C), (N, 1), (N,)), ((N, C), (N,), (N, 1)), ((N,), (N,), (N,))])
def test_forward_of_shapes_that_would_broadcast_raises(shapes: tuple[tuple[int, ...], ...]) -> None:
    cosines, labels, norms = shapes
    with pytest.raises(ValueError, match="expected cosines"):
        ArcMargin()(torch.zeros(cosines), torch.zeros(labels, dtype=torch.int64), torch.ones(norms))


@pytest.mark.parametrize("degrees", [1.0, 30.0, 60.0, 89.0, 91.0, 120.0, 150.0])
def test_arc_enlarges_the_own_angle_only(degrees: float) -> None:
    theta = math.radians(degrees)
    cosines = torch.tensor([[math.cos(theta), 0.3, -0.2]])
    logits = ArcMargin(0.5, 64.0)(cosines, torch.tensor([0]), torch.ones(1))
    assert logits[0].tolist() == pytest.approx([64 * math.cos(theta + 0.5), 64 * 0.3, -64 * 0.2], abs=2e-4)


def test_cosface_subtracts_its_margin() -> None:
    logits = CosFace(0.35, 64.0)(torch.tensor([[0.5, 0.1]]), torch.tensor([0]), torch.ones(1))
    assert logits[0].tolist() == pytest.approx([64 * 0.15, 6.4], rel=1e-5)


@given(st.floats(0.0, 200.0), st.floats(0.02, 2.3))
def test_magface_margin_grows_with_the_clamped_norm(norm: float, theta: float) -> None:
    a = min(110.0, max(10.0, norm))
    expected = math.cos(theta + 0.45 + 0.35 * (a - 10) / 100)
    found = MagFace().target(torch.tensor([math.cos(theta)]), torch.tensor([norm]))
    assert float(found) == pytest.approx(expected, abs=2e-5)


def test_magface_sends_its_gradient_into_the_norm_inside_the_limits_only() -> None:
    norms = torch.tensor([5.0, 50.0, 120.0], requires_grad=True)
    MagFace().target(torch.full((3,), 0.4), norms).sum().backward()
    assert norms.grad is not None
    assert [value != 0 for value in norms.grad.tolist()] == [False, True, False]


def test_adaface_equals_its_formula_with_the_figures_it_keeps() -> None:
    margin = AdaFace(0.4, 0.333).train()
    norms = np.array([5.0, 20.0, 60.0, 250.0])
    lengths = np.minimum(norms, 100)
    mean = 0.01 * lengths.mean() + 0.99 * 20
    deviation = 0.01 * lengths.std(ddof=1) + 0.99 * 100
    k = np.clip((lengths - mean) / (deviation + 1e-3) * 0.333, -1, 1)
    theta = np.array([0.4, 1.0, 1.4, 2.0])
    expected = np.cos(theta - 0.4 * k) - 0.4 - 0.4 * k
    cosines = torch.tensor(np.stack([np.cos(theta), np.zeros(4)], axis=1), dtype=torch.float32)
    labels = torch.zeros(4, dtype=torch.int64)
    logits = margin(cosines, labels, torch.tensor(norms, dtype=torch.float32))
    assert logits[:, 0].tolist() == pytest.approx((64 * expected).tolist(), rel=1e-4)


def test_adaface_in_evaluation_or_with_one_sample_keeps_its_figures() -> None:
    margin = AdaFace()
    margin.eval()(torch.rand(4, 3), torch.zeros(4, dtype=torch.int64), torch.full((4,), 60.0))
    margin.train()(torch.rand(1, 3), torch.zeros(1, dtype=torch.int64), torch.full((1,), 60.0))
    assert (float(margin.mean), float(margin.deviation)) == (20.0, 100.0)


def test_adaface_sends_no_gradient_into_the_norm() -> None:
    norms = torch.tensor([5.0, 50.0], requires_grad=True)
    cosines = torch.tensor([0.4, 0.1], requires_grad=True)
    AdaFace().target(cosines, norms).sum().backward()
    assert norms.grad is None
    assert cosines.grad is not None


def test_target_falls_steadily_over_the_whole_range_of_angles() -> None:
    own = torch.cos(torch.linspace(0, math.pi, 2001, dtype=torch.float64))
    for size in (0.3, 0.5, 0.8):
        targets = enlarge_angle(own, size)
        # The clamp of the sine at |cos| = 1 is worth 1e-6.
        assert (targets[1:] - targets[:-1]).max() <= 1e-6


def test_easy_margin_is_the_published_rule_with_its_jump_at_ninety_degrees() -> None:
    before, behind = enlarge_angle(torch.tensor([1e-4, -1e-4]), 0.5, easy=True).tolist()
    assert before == pytest.approx(-math.sin(0.5), abs=1e-3)
    assert behind == pytest.approx(-1e-4)
    assert make("arc", easy_margin=True).target(torch.tensor([-0.3]), torch.ones(1)).item() == pytest.approx(-0.3)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_parallel_vectors_have_a_finite_gradient(name: str, cosine: float) -> None:
    """The slope of sqrt(1 - c^2) is infinite there."""
    cosines = torch.tensor([[cosine, 0.1]], requires_grad=True)
    labels = torch.tensor([0])
    F.cross_entropy(make(name)(cosines, labels, torch.tensor([30.0])), labels).backward()
    assert cosines.grad is not None
    assert torch.isfinite(cosines.grad).all()


@pytest.mark.parametrize("name", HEADS)
def test_gradient_equals_finite_differences(name: str, cosines: Tensor, norms: Tensor) -> None:
    margin = make(name, scale=4.0).double().eval()
    lengths = norms.double().clamp(11, 99).requires_grad_(name == "magface")  # inside MagFace's limits
    assert torch.autograd.gradcheck(
        lambda c, z: F.cross_entropy(margin(c, LABELS, z), LABELS), (cosines.double().requires_grad_(), lengths)
    )
