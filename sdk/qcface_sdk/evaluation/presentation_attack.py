"""Error rates of a liveness check, in the words of ISO/IEC 30107-3.

A *presentation* is one showing of a face to the check. *Bona fide* presentations are living people; *attack
presentations* use a *presentation attack instrument* (PAI), of a *species* such as "printed photograph". APCER is the
share of one species' attacks that passed as bona fide, and is reported for each species and for the worst; it is never
averaged over species. BPCER is the share of bona fide presentations taken for attacks. Presentations without an answer
(no face found) are neither: APNRR and BPNRR say how many there were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_fraction
from qcface_sdk.errors import InputError

_Z = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


@dataclass(frozen=True, slots=True)
class ErrorShare:
    """How often one kind of presentation was judged wrongly."""

    name: str
    """Species of the attack, or "bona fide"."""
    presentations: int
    """In all."""
    answered: int
    """With an answer."""
    errors: int
    """Judged wrongly."""

    @property
    def rate(self) -> float:
        """APCER or BPCER: errors among those answered; NaN where none was."""
        return self.errors / self.answered if self.answered else math.nan

    @property
    def non_response_rate(self) -> float:
        """APNRR or BPNRR."""
        return 1.0 - self.answered / self.presentations

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the rate, by Wilson's score method; (0, 1) where nothing was answered."""
        return wilson_interval(self.errors, self.answered)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "name": self.name,
            "presentations": self.presentations,
            "answered": self.answered,
            "errors": self.errors,
            "rate": None if math.isnan(self.rate) else self.rate,
            "interval": list(self.interval),
            "non_response_rate": self.non_response_rate,
        }


@dataclass(frozen=True, slots=True)
class PresentationFigures:
    """Error rates at one threshold."""

    threshold: float
    """Smallest score that counts as living."""
    bona_fide: ErrorShare
    """BPCER."""
    attacks: tuple[ErrorShare, ...]
    """APCER of each species."""

    @property
    def worst(self) -> ErrorShare:
        """The species with the highest APCER."""
        return max(self.attacks, key=lambda share: -1.0 if math.isnan(share.rate) else share.rate)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values ready for JSON."""
        return {
            "threshold": self.threshold,
            "bpcer": self.bona_fide.to_dict(),
            "apcer": [share.to_dict() for share in self.attacks],
            "worst_species": self.worst.name,
        }


def judge_presentations(
    bona_fide: ArrayLike, attacks: Mapping[str, ArrayLike], threshold: float
) -> PresentationFigures:
    """Count errors at a threshold.

    Parameters
    ----------
    bona_fide : array_like of float
        Scores of living people, one per presentation; NaN where there was no answer.
    attacks : mapping of str to array_like of float
        The same for each species of attack.
    threshold : float
        Smallest score that counts as living.

    Raises
    ------
    InputError
        If there is no bona fide presentation, no attack, or a species without any.

    Examples
    --------
    >>> figures = judge_presentations([0.9, 0.8, 0.3], {"print": [0.1, 0.7], "screen": [0.2]}, 0.5)
    >>> round(figures.bona_fide.rate, 3), figures.worst.name, figures.worst.rate
    (0.333, 'print', 0.5)
    """
    living = _scores("bona fide", bona_fide)
    if not attacks:
        raise InputError("presentation attack detection needs at least one species of attack, got none")
    shares = []
    for name, scores in attacks.items():
        values = _scores(name, scores)
        shares.append(_share(name, values, int((values >= threshold).sum())))
    return PresentationFigures(threshold, _share("bona fide", living, int((living < threshold).sum())), tuple(shares))


def threshold_at_apcer(attacks: Mapping[str, ArrayLike], apcer: float) -> float:
    """Return the lowest threshold at which no species' APCER is above `apcer` on these presentations.

    Raises
    ------
    InputError, OptionError
        If a species has no answered presentation, or `apcer` is not between 0 and 1.
    """
    limit = check_fraction("apcer", apcer)
    thresholds = []
    for name, scores in attacks.items():
        values = np.sort(_scores(name, scores))
        values = values[np.isfinite(values)]
        if not values.size:
            raise InputError(f"no presentation of {name} has an answer; nothing can be said about it")
        allowed = math.floor(limit * values.size)
        # The (allowed + 1)-th highest attack must fail: the threshold lies just above it.
        thresholds.append(float(np.nextafter(values[-1 - allowed], np.inf)))
    return max(thresholds)


def wilson_interval(errors: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a proportion.

    Examples
    --------
    >>> [round(value, 3) for value in wilson_interval(0, 100)]
    [0.0, 0.037]
    """
    if trials == 0:
        return 0.0, 1.0
    share, square = errors / trials, _Z * _Z / trials
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / trials + square / trials / 4)
    # Rounding must not put the end just beside the proportion itself.
    return (0.0 if errors == 0 else middle - half), (1.0 if errors == trials else middle + half)


def _scores(name: str, scores: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64).ravel()
    if not values.size:
        raise InputError(f"there is no presentation of {name}; give at least one picture")
    return values


def _share(name: str, values: NDArray[np.float64], errors: int) -> ErrorShare:
    return ErrorShare(name, int(values.size), int(np.isfinite(values).sum()), errors)
