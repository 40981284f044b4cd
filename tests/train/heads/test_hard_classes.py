"""CurricularFace and MV-Softmax against their formulas in plain Python, and against the faults of published code."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor  # noqa: E402

from qcface_train.heads import CurricularFace, MvSoftmax  # noqa: E402

N, C = 5, 9
LABELS = torch.tensor([0, 3, 5, 5, 8])


def expected_logits(cosines: list[list[float]], labels: list[int], t: float, curricular: bool) -> list[list[float]]:
    """The formulas of both papers, class by class: angles, not trigonometric identities."""
    rows = []
    for row, label in zip(cosines, labels, strict=True):
        theta = math.acos(row[label])
        limit = math.cos(theta + 0.5)
        own = limit if theta + 0.5 < math.pi else row[label] - 0.5 * math.sin(0.5)
        result = []
        for number, cosine in enumerate(row):
            if number == label:
                result.append(64 * own)
            elif cosine > limit:
                result.append(64 * (cosine * (t + cosine) if curricular else t * cosine + t - 1))
            else:
                result.append(64 * cosine)
        rows.append(result)
    return rows


@given(st.lists(st.lists(st.floats(-0.98, 0.98), min_size=C, max_size=C), min_size=N, max_size=N))
def test_both_equal_their_formulas(rows: list[list[float]]) -> None:
    cosines = torch.tensor(rows, dtype=torch.float64)
    norms = torch.ones(N)
    curricular = CurricularFace().double().train()
    found = curricular(cosines, LABELS, norms)
    # t already holds a hundredth of this batch.
    t = 0.01 * float(cosines[torch.arange(N), LABELS].mean())
    assert float(curricular.t) == pytest.approx(t, abs=1e-12)
    torch.testing.assert_close(found, torch.tensor(expected_logits(rows, LABELS.tolist(), t, True)).double())
    mv = MvSoftmax().double()(cosines, LABELS, norms)
    torch.testing.assert_close(mv, torch.tensor(expected_logits(rows, LABELS.tolist(), 1.12, False)).double())


@pytest.fixture
def easy_row() -> Tensor:
    """A sample near its class (20 degrees); others are at acute angles, but farther than the margin."""
    return torch.tensor([[math.cos(math.radians(20)), 0.3, 0.1, -0.4]])


@pytest.mark.parametrize("margin", [CurricularFace(), MvSoftmax()], ids=["curricular", "mv"])
def test_classes_farther_than_the_own_margin_are_not_hard(margin: CurricularFace | MvSoftmax, easy_row: Tensor) -> None:
    """Comparing each class with its own margined cosine calls every class of an acute angle hard."""
    logits = margin.eval()(easy_row, torch.tensor([0]), torch.ones(1))
    assert torch.equal(logits[0, 1:], 64.0 * easy_row[0, 1:])


@pytest.mark.parametrize("margin", [CurricularFace(), MvSoftmax()], ids=["curricular", "mv"])
def test_own_class_is_never_treated_as_a_hard_one(margin: CurricularFace | MvSoftmax, easy_row: Tensor) -> None:
    """A mask without the target's exception gives it c (t + c), and the margin is gone."""
    logits = margin.eval()(easy_row, torch.tensor([0]), torch.ones(1))
    assert float(logits[0, 0]) == pytest.approx(64 * math.cos(math.radians(20) + 0.5), rel=1e-5)


def test_curricular_t_is_kept_with_the_weights_and_still_in_evaluation() -> None:
    margin = CurricularFace()
    cosines = torch.full((4, 3), 0.5)
    margin.train()(cosines, torch.zeros(4, dtype=torch.int64), torch.ones(4))
    assert float(margin.state_dict()["t"]) == pytest.approx(0.005)
    margin.eval()(cosines, torch.zeros(4, dtype=torch.int64), torch.ones(4))
    assert float(margin.t) == pytest.approx(0.005)


@pytest.mark.parametrize("margin", [CurricularFace(), MvSoftmax()], ids=["curricular", "mv"])
def test_the_choice_of_hard_classes_sends_no_gradient_into_the_own_cosine(
    margin: CurricularFace | MvSoftmax,
) -> None:
    cosines = torch.tensor([[0.2, 0.9]], requires_grad=True)
    margin.eval()(cosines, torch.tensor([0]), torch.ones(1))[0, 1].backward()
    assert cosines.grad is not None
    assert float(cosines.grad[0, 0]) == 0.0
    assert float(cosines.grad[0, 1]) > 0.0
