from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk import InputError, OptionError
from qcface_sdk.evaluation.presentation_attack import judge_presentations, threshold_at_apcer, wilson_interval

SCORES = st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), min_size=1, max_size=40)


@given(SCORES, SCORES, SCORES, st.floats(0, 1))
def test_rates_are_what_counting_by_hand_gives(
    living: list[float], prints: list[float], screens: list[float], threshold: float
) -> None:
    figures = judge_presentations(living, {"print": prints, "screen": screens}, threshold)
    for share, scores, wrong in (
        (figures.bona_fide, living, lambda s: s < threshold),
        (figures.attacks[0], prints, lambda s: s >= threshold),
        (figures.attacks[1], screens, lambda s: s >= threshold),
    ):
        answered = [score for score in scores if not math.isnan(score)]
        assert (share.presentations, share.answered) == (len(scores), len(answered))
        assert share.errors == sum(wrong(score) for score in answered)
        low, high = share.interval
        assert 0 <= low <= high <= 1
        if answered:
            assert low <= share.rate <= high
        else:
            assert math.isnan(share.rate)
    rates = [share.rate for share in figures.attacks if share.answered]
    if rates:
        assert figures.worst.rate == max(rates)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.floats(0.01, 0.9))
def test_threshold_keeps_every_species_below_the_limit_and_is_the_lowest(scores: list[float], limit: float) -> None:
    attacks = {"print": scores, "mask": [0.1, 0.2]}
    threshold = threshold_at_apcer(attacks, limit)
    assert judge_presentations([1.0], attacks, threshold).worst.rate <= limit
    lower = float(np.nextafter(threshold, -np.inf))
    assert judge_presentations([1.0], attacks, lower).worst.rate > limit


def test_interval_against_the_published_example() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263 by Wilson's method without continuity correction.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_nothing_to_judge_is_an_error() -> None:
    for living, attacks in (([], {"print": [0.1]}), ([0.9], {}), ([0.9], {"print": []})):
        with pytest.raises(InputError):
            judge_presentations(living, attacks, 0.5)
    with pytest.raises(InputError):
        threshold_at_apcer({"print": [math.nan]}, 0.1)
    with pytest.raises(OptionError):
        threshold_at_apcer({"print": [0.5]}, 1.0)
