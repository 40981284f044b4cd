"""Figures that need no labels: whether two files give the same embeddings, the same lengths, and the same order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.evaluation import LEVELS, kendall, ladder_correlation, spearman

Figures = dict[str, float]
Ladder = dict[str, NDArray[np.float64]]
"""Kind of damage to magnitudes (F, LEVELS + 1), the clean rung first."""

FLIP_MARGIN = 0.05
"""Difference of two magnitudes, as a share of the median, from which their order counts."""
_PAIRED = 2000


def measure_embeddings(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> Figures:
    """Return how far directions and lengths of the same pictures (N, D) are apart."""
    one, two = reference.astype(np.float64), candidate.astype(np.float64)
    wanted, found = np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1)
    cosines = np.einsum("ij,ij->i", one, two) / (wanted * found)
    errors = found / wanted - 1
    # Ranking all pairs costs N^2; evenly spaced pictures answer as well.
    some = np.linspace(0, len(wanted) - 1, min(_PAIRED, len(wanted))).astype(np.int64)
    return {
        "cosine_mean": float(cosines.mean()),
        "cosine_min": float(cosines.min()),
        "norm_bias": float(errors.mean()),
        "norm_error_p95": float(np.quantile(np.abs(errors), 0.95)),
        "norm_error_max": float(np.abs(errors).max()),
        "magnitude_spearman": spearman(wanted, found),
        "magnitude_kendall": kendall(wanted[some], found[some]),
        "order_flips": count_flips(wanted[some], found[some]),
        "magnitude_spread": float(found.std() / wanted.std() - 1) if wanted.std() > 0 else float("nan"),
    }


def count_flips(wanted: NDArray[np.float64], found: NDArray[np.float64], margin: float = FLIP_MARGIN) -> float:
    """Return the share of pairs, among those that clearly differ, whose order changed."""
    gap = wanted[:, None] - wanted[None]
    clear = np.triu(np.abs(gap) > margin * np.median(wanted))
    if not clear.any():
        return float("nan")
    flipped = np.sign(found[:, None] - found[None]) != np.sign(gap)
    return float(np.count_nonzero(flipped & clear) / np.count_nonzero(clear))


def measure_ladders(reference: Ladder, candidate: Ladder) -> tuple[Figures, dict[str, Figures]]:
    """Return the mean and the worst change over all kinds of damage, and the figures of each kind."""
    steps = range(LEVELS + 1)
    kinds: dict[str, Figures] = {}
    for kind, magnitudes in reference.items():
        one, two = ladder_correlation(magnitudes, steps), ladder_correlation(candidate[kind], steps)
        clean, worst = candidate[kind][:, 0].mean(), candidate[kind][:, -1].mean()
        kinds[kind] = {
            "reference_spearman": one.mean,
            "spearman": two.mean,
            "reference_monotone_share": one.monotone_share,
            "monotone_share": two.monotone_share,
            "fall": float((clean - worst) / clean),
            "standard_error": _standard_error(two.per_face - one.per_face),
        }
    # -1 is ideal, so a loss is a rise.
    losses = [found["spearman"] - found["reference_spearman"] for found in kinds.values()]
    flatter = [found["reference_monotone_share"] - found["monotone_share"] for found in kinds.values()]
    over_all = {
        "ladder_spearman_loss": float(np.mean(losses)),
        "ladder_spearman_loss_worst": max(losses),
        "ladder_monotone_loss": float(np.mean(flatter)),
        "ladder_fall": min(found["fall"] for found in kinds.values()),
    }
    return over_all, kinds


def _standard_error(values: NDArray[np.float64]) -> float:
    """Return that of the mean; one face shows nothing of it, so the widest there can be: losses lie in -2..2."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 2.0
