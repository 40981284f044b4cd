"""What is measured of each run, and the table over arms and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.evaluation import LEVELS, ladder_correlation, operate, score_all_pairs
from qcface_train.evaluation import protocol
from qcface_train.evaluation.lfw import VerificationSet

Figures = dict[str, Any]

COLUMNS: Mapping[str, tuple[str, int]] = MappingProxyType(
    {
        "lfw": ("LFW accuracy, %", 2),
        "tar": ("TAR at FMR 1e-4, %", 2),
        "edc_fnmr5": ("EDC pAUC 0.3, FNMR 5 %", 5),
        "edc_fmr3": ("EDC pAUC 0.3, FMR 1e-3", 5),
        "ladder": ("ladder Spearman", 3),
        "span": ("magnitude 5-95 %", 1),
    }
)
"""The table's columns with their digits. EDC: area minus the ideal one, lower is better; ladder: mean over faces and
kinds of damage, -1 is best; span: 95th minus 5th percentile of the clean magnitudes."""

_TAIL = 0.02


def measure(
    embeddings: NDArray[np.float32], ladder: Mapping[str, NDArray[np.float64]], test: VerificationSet
) -> Figures:
    """Return the figures of one run.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (T, D)
        Raw, of the test set.
    ladder : mapping of str to ndarray of float64, shape (F, LEVELS + 1)
        Magnitudes on the rungs of each kind of damage.
    test : VerificationSet
        The test set.
    """
    scores = score_all_pairs(embeddings, test.subjects, tail=_TAIL)
    magnitude = np.linalg.norm(embeddings.astype(np.float64), axis=1)
    areas = protocol.measure_areas(scores, magnitude)
    kinds = {kind: ladder_correlation(rows, range(LEVELS + 1)).mean for kind, rows in ladder.items()}
    low, high = np.percentile(magnitude, (5, 95))
    return {
        "lfw": 100 * float(protocol.measure_folds(embeddings, test)["accuracy"]),
        "tar": 100 * operate(scores, 1e-4).tmr,
        "edc_fnmr5": areas["FNMR 5 %"]["0.3"],
        "edc_fmr3": areas["FMR 0.001"]["0.3"],
        "ladder": float(np.mean(list(kinds.values()))),
        "span": float(high - low),
        "ladder_kinds": kinds,
        "edc": areas,
        "magnitude": [float(value) for value in np.percentile(magnitude, (1, 5, 50, 95, 99))],
    }


def summarise(results: Sequence[Figures]) -> Figures:
    """Return mean, lowest and highest over the seeds of each arm's figures."""
    arms: Figures = {}
    for arm in dict.fromkeys(result["arm"] for result in results):
        own = [result for result in results if result["arm"] == arm]
        values = {key: [result[key] for result in own] for key in COLUMNS}
        arms[arm] = {
            "seeds": [result["seed"] for result in own],
            "samples": own[0]["samples"],
            **{key: {"mean": float(np.mean(v)), "lowest": min(v), "highest": max(v)} for key, v in values.items()},
        }
    return arms


def markdown_table(arms: Figures) -> str:
    """Return the summary as a Markdown table: the mean over the seeds, and from the lowest to the highest."""
    lines = [f"| arm | {' | '.join(title for title, _ in COLUMNS.values())} |", f"|---|{'---|' * len(COLUMNS)}"]
    for arm, figures in arms.items():
        cells = [
            f"{figures[key]['mean']:.{digits}f} ({figures[key]['lowest']:.{digits}f} to "
            f"{figures[key]['highest']:.{digits}f})"
            for key, (_, digits) in COLUMNS.items()
        ]
        lines.append(f"| {arm} | {' | '.join(cells)} |")
    return "\n".join(lines)
