"""Decision thresholds with what they rest on, in the form a bundle's manifest takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from qcface_sdk.evaluation.bootstrap import REPLICATES, bootstrap_rates, percentile_interval
from qcface_sdk.evaluation.scores import PairScores, score_all_pairs
from qcface_sdk.evaluation.verification import operate

FMRS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""False match rates of a usual table."""


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """A measured threshold; the manifest's row without artefact, runtime and origin, which the measurer fills in."""

    fmr: float
    """False match rate asked for."""
    threshold: float
    """Smallest similarity that may match at it, -1..1."""
    interval: tuple[float, float]
    """95 % bootstrap interval of `threshold` by identity; always holds it."""
    impostors: int
    """Pairs of two people compared."""
    genuines: int
    """Pairs of one person compared."""
    fnmr: float
    """False non-match rate at `threshold`, 0..1."""
    fnmr_interval: tuple[float, float]
    """95 % bootstrap interval of `fnmr` with the threshold set anew in each resample."""
    supported: bool
    """Whether `impostors` are enough to speak of `fmr` (`is_supported`)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields the manifest holds, for JSON."""
        return {
            "fmr": self.fmr,
            "threshold": self.threshold,
            "interval": list(self.interval),
            "impostors": self.impostors,
            "genuines": self.genuines,
            "fnmr": self.fnmr,
            "supported": self.supported,
        }


def calibrate(
    embeddings: ArrayLike,
    labels: ArrayLike,
    fmrs: Sequence[float] = FMRS,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[ThresholdRow, ...]:
    """Measure the threshold of each false match rate over all pairs of a labelled set.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Of people the model was not trained on.
    labels : array_like of int or str, shape (N,)
        Who is on each face.
    fmrs : sequence of float
        False match rates; rows come in this order.
    replicates, seed : int
        Of the bootstrap.

    Returns
    -------
    tuple of ThresholdRow
        One for each rate, also where it is not supported.

    Raises
    ------
    ShapeError, NotFiniteError, InputError, OptionError
        As `score_all_pairs` and `bootstrap_rates`.
    """
    tail = min(0.99, 2.5 * max(fmrs, default=0.01))
    return calibrate_scores(score_all_pairs(embeddings, labels, tail=tail), fmrs, replicates=replicates, seed=seed)


def calibrate_scores(
    scores: PairScores, fmrs: Sequence[float] = FMRS, *, replicates: int = REPLICATES, seed: int = 0
) -> tuple[ThresholdRow, ...]:
    """Do as `calibrate` with scores at hand.

    Raises
    ------
    OptionError
        If a rate is out of range or the kept tail of impostor scores too short for it.
    """
    drawn = bootstrap_rates(scores, fmrs, replicates=replicates, seed=seed)
    rows = []
    for column, fmr in enumerate(drawn.fmrs):
        at = operate(scores, fmr)
        low, high = percentile_interval(drawn.thresholds[:, column])
        rows.append(
            ThresholdRow(
                fmr=fmr,
                threshold=at.threshold,
                interval=(min(low, at.threshold), max(high, at.threshold)),
                impostors=at.impostors,
                genuines=at.genuines,
                fnmr=at.fnmr,
                fnmr_interval=percentile_interval(drawn.fnmr[:, column]),
                supported=at.supported,
            )
        )
    return tuple(rows)
