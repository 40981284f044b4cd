"""The threshold of a search (1:N): a gallery of N gives every stranger N chances to be taken for somebody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import ThresholdUnavailableError
from qcface_sdk.measurements import ImpostorTail, ThresholdRow
from qcface_sdk.thresholds import threshold_at

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class SearchThreshold:
    """A threshold for a gallery of one size, and what it rests on."""

    threshold: float
    """Smallest similarity that identifies."""
    fmr: float
    """False-match rate of one comparison at `threshold`."""
    fpir: float
    """False-positive identification rate asked for: share of strangers who are taken for anybody at all."""
    size: int
    """Templates in the gallery."""
    interval: tuple[float, float]
    """95 % interval of `threshold`, by identity."""
    extrapolated: bool
    """Whether the counts do not support `fmr` and it was extrapolated from the tail of the impostor scores."""


def search_threshold(
    rows: Sequence[ThresholdRow],
    tail: ImpostorTail | None,
    fpir: float,
    size: int,
    *,
    extrapolate: bool = False,
) -> SearchThreshold:
    """Return the threshold at which a stranger is identified at most at the rate `fpir`.

    Parameters
    ----------
    rows : sequence of ThresholdRow
        Of one artefact on one runtime.
    tail : ImpostorTail or None
        Of the same, where it was fitted.
    fpir : float
        Between 0 and 1.
    size : int
        Templates in the gallery, at least 1.
    extrapolate : bool, default False
        Whether a rate that the counts do not support may be taken from the tail.

    Raises
    ------
    OptionError
        If `fpir` or `size` is out of range.
    ThresholdUnavailableError
        If the counts do not support the rate and `extrapolate` is false, or there is no tail.

    Notes
    -----
    A search is a false positive if any of its N comparisons is, so ``FPIR <= N FMR`` whatever the dependence between
    them (union bound); ``FMR = fpir / size`` therefore keeps it. A rate looser than all measured ones takes the loosest
    measured one, which is stricter than asked.
    """
    rate = check_fraction("fpir", fpir) / check_positive_int("size", size)
    supported = [row for row in rows if row.supported]
    rate = min([rate, *[max(row.fmr for row in supported)]]) if supported else rate
    try:
        row = threshold_at(rows, rate)
    except ThresholdUnavailableError as error:
        if not extrapolate:
            raise ThresholdUnavailableError(
                f"fpir={fpir:g} over {size:,} templates needs fmr={rate:g}: {error}; "
                "or pass extrapolate=True for an estimate from the tail of the impostor scores"
            ) from error
        return _extrapolated(supported, tail, rate, fpir, size)
    return SearchThreshold(row.threshold, rate, fpir, size, row.interval, extrapolated=False)


def tail_threshold(tail: ImpostorTail, fmr: float) -> tuple[float, tuple[float, float]]:
    """Return the threshold of a false-match rate by the tail, at most 1, and its 95 % interval by identity.

    Raises
    ------
    ThresholdUnavailableError
        If `fmr` lies above the start of the tail, where the measured rows hold.
    """
    if fmr > tail.share:
        raise ThresholdUnavailableError(
            f"the tail was fitted below fmr={tail.share:g}, got fmr={fmr:g}; use the measured thresholds there"
        )
    value = _invert(tail.start, (tail.share, tail.scale, tail.shape), fmr)
    drawn = np.array([_invert(tail.start, draw, fmr) for draw in tail.draws])
    low, high = np.quantile(drawn, [(1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2])
    return value, (min(float(low), value), max(float(high), value))


def _invert(start: float, draw: tuple[float, float, float], fmr: float) -> float:
    share, scale, shape = draw
    ratio = math.log(share / fmr)
    reach = scale * (math.expm1(shape * ratio) / shape if abs(shape) > 1e-9 else ratio)
    return min(start + reach, 1.0)


def _extrapolated(
    supported: Sequence[ThresholdRow], tail: ImpostorTail | None, fmr: float, fpir: float, size: int
) -> SearchThreshold:
    if tail is None:
        raise ThresholdUnavailableError(
            f"fpir={fpir:g} over {size:,} templates needs fmr={fmr:g}, which nothing supports: no tail was fitted; "
            "calibrate on more people (qcface calibrate)"
        )
    value, (low, high) = tail_threshold(tail, fmr)
    # Never below what was measured at a looser rate.
    floor = max((row.threshold for row in supported), default=-1.0)
    value = max(value, floor)
    return SearchThreshold(value, fmr, fpir, size, (min(low, value), max(high, value)), extrapolated=True)
