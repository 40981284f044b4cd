"""The loss scale of float16."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from qcface_train.precision import Precision  # noqa: E402

CPU = torch.device("cpu")


def test_fp16_halves_its_scale_on_overflow_and_doubles_it_after_patience() -> None:
    precision = Precision("fp16", CPU, patience=3)
    start = precision.scale
    assert not precision.take_step(float("inf"))
    assert not precision.take_step(float("nan"))
    assert precision.scale == start / 4
    assert [precision.take_step(1.0) for _ in range(3)] == [True] * 3
    assert precision.scale == start / 2
    again = Precision("fp16", CPU)
    again.resume(precision.state())
    assert again.state() == precision.state()


def test_overflow_at_the_smallest_scale_is_no_matter_of_the_scale() -> None:
    """Else a run whose gradients never become finite would skip every step to its end."""
    precision = Precision("fp16", CPU)
    while precision.may_overflow:
        precision.take_step(float("inf"))
    assert precision.scale == 1.0
    assert not Precision("bf16", CPU).may_overflow


def test_fp16_that_goes_on_from_another_format_begins_with_its_own_scale() -> None:
    precision = Precision("fp16", CPU)
    precision.resume(Precision("bf16", CPU).state())
    assert precision.state() == Precision("fp16", CPU).state()


def test_unscale_divides_gradients_and_skips_those_that_are_missing() -> None:
    precision = Precision("fp16", CPU)
    weight, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    (weight.sum() * 3 * precision.scale).backward()
    precision.unscale([weight, unused])
    assert weight.grad.tolist() == [3, 3]


@pytest.mark.parametrize(("name", "kind"), [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_autocast_computes_in_the_format(name: str, kind: torch.dtype) -> None:
    precision = Precision(name, CPU)
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind
    assert name == "fp16" or (precision.scale == 1.0 and precision.take_step(float("inf")))
