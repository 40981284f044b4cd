"""From magnitude to a quality of 0 to 100 that says how likely a comparison will succeed.

ISO/IEC 29794-1 asks of a quality score that it predicts recognition performance; here it is the prediction itself:
quality = 100 x (1 - expected false non-match rate) when a face of this magnitude is the worse one of a genuine
comparison, at the threshold for a stated false match rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction, check_positive_int
from qcface_sdk.errors import InputError, OptionError, ShapeError
from qcface_sdk.evaluation.verification import check_scores

MIN_COMPARISONS = 50
"""Comparisons behind each knot at least."""

MAX_KNOTS = 24


@dataclass(frozen=True, slots=True)
class QualityMapping:
    """Piecewise linear, strictly rising relation of magnitude and quality; constant beyond its ends."""

    knots: tuple[tuple[float, float], ...]
    """(magnitude, quality 0..100), both strictly rising."""
    comparisons: int
    """Genuine comparisons it was fitted to."""
    threshold: float
    """Similarity below which a comparison counts as failed."""

    def __call__(self, magnitude: ArrayLike) -> NDArray[np.float64]:
        """Return the quality of magnitudes, 0..100."""
        places, qualities = np.array(self.knots).T
        return np.asarray(np.interp(np.asarray(magnitude, dtype=np.float64), places, qualities), np.float64)

    def quality_at_fnmr(self, fnmr: float) -> float:
        """Return the quality below which the expected false non-match rate exceeds `fnmr`.

        Raises
        ------
        OptionError
            If `fnmr` does not lie between 0 and 1.
        """
        # Rounding keeps 100 x (1 - 0.9) from being 9.999999999999998.
        return round(100.0 * (1.0 - check_fraction("fnmr", fnmr)), 9)

    def to_dict(self, origin: str) -> dict[str, Any]:
        """Return the knots of the manifest's ``quality`` entry; `origin` says what was measured on what."""
        return {"knots": [list(knot) for knot in self.knots], "origin": origin}


def fit_quality(
    magnitude: ArrayLike,
    similarity: ArrayLike,
    threshold: float,
    *,
    la: float = 1.0,
    ua: float = 100.0,
    max_knots: int = MAX_KNOTS,
    min_comparisons: int = MIN_COMPARISONS,
) -> QualityMapping:
    """Fit quality to genuine comparisons.

    Parameters
    ----------
    magnitude : array_like of float, shape (P,)
        Magnitude of the worse face of each genuine comparison.
    similarity : array_like of float, shape (P,)
        Similarity of the comparison.
    threshold : float
        Threshold for the stated false match rate; below it a comparison has failed.
    la, ua : float
        Magnitudes of quality 0 and 100: the limits the model was trained with. They anchor the ends where the data
        do not reach them.
    max_knots : int, default 24
        Knots between the anchors at most.
    min_comparisons : int, default 50
        Comparisons behind each knot at least.

    Returns
    -------
    QualityMapping

    Raises
    ------
    ShapeError, NotFiniteError
        If `magnitude` and `similarity` differ in length or are not finite.
    InputError
        If there are fewer than ``2 * min_comparisons`` comparisons, or success does not rise with magnitude at all.
    OptionError
        If not ``0 < la < ua`` or a number is out of range.

    Notes
    -----
    Success against magnitude is fitted by isotonic regression, pool adjacent violators [1]_: its level sets are the
    knots, at the mean magnitude of each set. Sets that are too small, then the smallest until `max_knots` are left, are
    merged with the neighbour nearest in value. The rate of a set of n comparisons of which e failed is taken as
    (e + 1/2) / (n + 1) (Jeffreys), so that no finite sample promises certainty.

    References
    ----------
    .. [1] R. Barlow et al., Statistical Inference under Order Restrictions, Wiley 1972.
    """
    _check_options(la, ua, max_knots, min_comparisons)
    lengths, scores = _check_comparisons(magnitude, similarity, 2 * min_comparisons)
    blocks = _merge(_level_sets(lengths, scores >= threshold), max_knots, min_comparisons)
    if len(blocks) < 2:
        raise InputError(_NO_RISE)
    return QualityMapping(_anchor(blocks, la, ua), len(lengths), threshold)


_NO_RISE = (
    "success of comparisons does not rise with magnitude on these data, so no quality can be fitted; train the norm "
    "phase, or pass damaged faces too"
)


def _check_options(la: float, ua: float, max_knots: int, min_comparisons: int) -> None:
    if not 0 < la < ua:
        raise OptionError(f"magnitude limits must satisfy 0 < la < ua, got la={la!r}, ua={ua!r}")
    check_positive_int("max_knots", max_knots)
    check_positive_int("min_comparisons", min_comparisons)


def _check_comparisons(
    magnitude: ArrayLike, similarity: ArrayLike, least: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lengths, scores = check_scores("magnitude", magnitude), check_scores("similarity", similarity)
    if lengths.shape != scores.shape:
        raise ShapeError(f"magnitude and similarity must have one length, got {lengths.shape} and {scores.shape}")
    if len(lengths) < least:
        raise InputError(f"a fit needs at least {least} genuine comparisons, got {len(lengths)}")
    return lengths, scores


def fit_isotonic(values: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Return the non-decreasing sequence that is closest to `values` in weighted least squares.

    Parameters
    ----------
    values : array_like of float, shape (N,)
    weights : array_like of float, shape (N,), optional
        Above 0.

    Raises
    ------
    ShapeError, NotFiniteError
        If the arguments differ in length or are not finite.

    Notes
    -----
    Pool adjacent violators, linear in N.

    Examples
    --------
    >>> fit_isotonic([1.0, 3.0, 2.0, 4.0]).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    numbers = check_scores("values", values)
    weight = np.ones(len(numbers)) if weights is None else check_scores("weights", weights)
    if numbers.shape != weight.shape or not (weight > 0).all():
        raise ShapeError(f"weights must be above 0, one per value, got {weight.shape} for {numbers.shape}")
    means: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, mass in zip(numbers.tolist(), weight.tolist(), strict=True):
        mean, size = value, 1
        while means and means[-1] >= mean:
            mean = (means[-1] * masses[-1] + mean * mass) / (masses[-1] + mass)
            mass += masses.pop()
            size += sizes.pop()
            means.pop()
        means.append(mean)
        masses.append(mass)
        sizes.append(size)
    return np.repeat(np.array(means), sizes)


@dataclass(frozen=True, slots=True)
class _Block:
    """Neighbouring comparisons with one rate: how many, how many succeeded, and the sum of their magnitudes."""

    count: int
    passed: int
    magnitude_sum: float

    @property
    def place(self) -> float:
        return self.magnitude_sum / self.count

    @property
    def rate(self) -> float:
        return (self.passed + 0.5) / (self.count + 1)

    def __add__(self, other: _Block) -> _Block:
        return _Block(self.count + other.count, self.passed + other.passed, self.magnitude_sum + other.magnitude_sum)


def _level_sets(magnitude: NDArray[np.float64], passed: NDArray[np.bool_]) -> list[_Block]:
    # Equal magnitudes share one rate, whatever the order they came in.
    places, which, counts = np.unique(magnitude, return_inverse=True, return_counts=True)
    successes = np.bincount(which.reshape(-1), weights=passed)
    fit = fit_isotonic(successes / counts, counts)
    starts = np.flatnonzero(np.append(True, np.diff(fit) > 0))
    sums = (np.add.reduceat(column, starts) for column in (counts, successes, places * counts))
    return [_Block(int(n), int(k), float(total)) for n, k, total in zip(*sums, strict=True)]


def _merge(blocks: list[_Block], max_knots: int, min_comparisons: int) -> list[_Block]:
    merged = list(blocks)
    while len(merged) > 1:
        sizes = [block.count for block in merged]
        # Jeffreys' estimate pulls small sets to one half, which can turn the order of neighbours round.
        turned = [i for i in range(len(merged) - 1) if merged[i].rate >= merged[i + 1].rate]
        if turned:
            at = turned[0]
        elif min(sizes) < min_comparisons or len(merged) > max_knots:
            smallest = sizes.index(min(sizes))
            at = smallest - 1 if _is_nearer_below(merged, smallest) else smallest
        else:
            break
        merged[at : at + 2] = [merged[at] + merged[at + 1]]
    return merged


def _is_nearer_below(blocks: list[_Block], at: int) -> bool:
    if at in (0, len(blocks) - 1):
        return at > 0
    return blocks[at].rate - blocks[at - 1].rate <= blocks[at + 1].rate - blocks[at].rate


def _anchor(blocks: list[_Block], la: float, ua: float) -> tuple[tuple[float, float], ...]:
    knots = [(block.place, 100.0 * block.rate) for block in blocks]
    below = [(la, 0.0)] if la < knots[0][0] else []
    above = [(ua, 100.0)] if ua > knots[-1][0] else []
    return (*below, *knots, *above)
