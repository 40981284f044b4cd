from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import NotFiniteError, OptionError
from qcface_sdk.recognizability import guidance_factor, recognizability

LIMITS = [(100.0, 1.0), (110.0, 10.0), (51.0, 1.0), (60.0, 10.0)]


def optimum(p: float, ua: float, la: float) -> float:
    """z*(p) written out as in the paper, as an independent reference."""
    k = guidance_factor(ua, la)
    return float(np.sqrt(((k - 1) * p + 1) / (k * p / ua**2 + (1 - p) / la**2)))


# Reference: the values of k for the paper's limits and MagFace's.
@pytest.mark.parametrize(
    ("limits", "expected"), list(zip(LIMITS, [3421.926910299, 49.823529412, 912.038961039, 17.052631579], strict=True))
)
def test_guidance_factor_of_known_limits_is_the_published_value(limits: tuple[float, float], expected: float) -> None:
    assert guidance_factor(*limits) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("limits", LIMITS)
def test_guidance_factor_puts_half_in_the_middle(limits: tuple[float, float]) -> None:
    assert optimum(0.5, *limits) == pytest.approx(sum(limits) / 2)


@given(p=st.floats(0, 1), limits=st.sampled_from(LIMITS))
def test_recognizability_of_the_optimum_returns_p(p: float, limits: tuple[float, float]) -> None:
    ua, la = limits
    assert float(recognizability(optimum(p, ua, la), ua=ua, la=la)) == pytest.approx(p, abs=1e-9)


def test_recognizability_outside_the_limits_is_clipped() -> None:
    assert recognizability([0.0, 0.5, 150.0, 1e6]).tolist() == [0.0, 0.0, 1.0, 1.0]


def test_recognizability_is_strictly_increasing_between_the_limits() -> None:
    assert (np.diff(recognizability(np.linspace(1, 100, 1000))) > 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_recognizability_of_no_length_is_refused(bad: float) -> None:
    with pytest.raises(NotFiniteError, match="finite"):
        recognizability([1.0, bad])


@pytest.mark.parametrize(("ua", "la"), [(1.0, 1.0), (1.0, 2.0), (10.0, 0.0), (np.nan, 1.0)])
def test_guidance_factor_of_impossible_limits_is_refused(ua: float, la: float) -> None:
    with pytest.raises(OptionError, match="0 < la < ua"):
        guidance_factor(ua, la)
