"""Error rates by group, such as source, camera or age, with intervals: one threshold treats no two groups alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_positive_int, check_threshold
from qcface_sdk.errors import ShapeError
from qcface_sdk.evaluation.bootstrap import REPLICATES, percentile_interval, resample
from qcface_sdk.evaluation.scores import number_labels, unit_rows

EVERYBODY = "all"
"""Name of the group that holds every face; it comes first."""

_BLOCK = 512
_RULE_OF_THREE = 3.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of comparisons that went wrong."""

    value: float
    """0..1."""
    interval: tuple[float, float]
    """95 % bootstrap interval by identity; holds `value`."""
    comparisons: int
    """Comparisons in all."""


@dataclass(frozen=True, slots=True)
class GroupRates:
    """Error rates of comparisons inside one group."""

    name: str
    """Of the group."""
    people: int
    """People in it."""
    faces: int
    """Faces in it."""
    fmr: Rate | None
    """False match rate, of pairs of two of its people; ``None`` where there are none."""
    fnmr: Rate | None
    """False non-match rate, of pairs of one of its people; ``None`` where there are none."""


def rates_by_group(
    embeddings: ArrayLike,
    labels: ArrayLike,
    groups: ArrayLike,
    threshold: float,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[GroupRates, ...]:
    """Return both error rates at one threshold for all faces together and for each group alone.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Raw or unit.
    labels : array_like of int or str, shape (N,)
        Who is on each face.
    groups : array_like of str, shape (N,)
        Group of each face. A pair counts in a group if both its faces are in it.
    threshold : float
        Smallest similarity that matches, -1..1.
    replicates, seed : int
        Of the bootstrap by identity.

    Returns
    -------
    tuple of GroupRates
        "all" first, then the groups in the order of their names.

    Raises
    ------
    ShapeError, NotFiniteError
        If the arguments differ in length, or an embedding is zero or not finite.
    OptionError
        If `threshold` or `replicates` is out of range.

    Notes
    -----
    Where nothing went wrong, which a bootstrap cannot see beyond, the interval ends at 3 / comparisons (rule of three).
    Comparisons share people, so that is the least it can be.
    """
    least = check_threshold("threshold", threshold)
    check_positive_int("replicates", replicates)
    unit = unit_rows(embeddings)
    person = number_labels(labels, len(unit))
    names: NDArray[Any] = np.asarray(groups)
    if names.shape != (len(unit),):
        raise ShapeError(f"groups must be one per face, shape ({len(unit)},), got {names.shape}")
    found = [_measure(EVERYBODY, unit, person, least, replicates, seed)]
    for name in np.unique(names):
        inside = names == name
        found.append(_measure(str(name), unit[inside], person[inside], least, replicates, seed))
    return tuple(found)


def _measure(
    name: str, unit: NDArray[np.float32], labels: NDArray[np.int64], threshold: float, replicates: int, seed: int
) -> GroupRates:
    person = np.unique(labels, return_inverse=True)[1].reshape(-1)
    faces = np.bincount(person)
    genuine = faces * (faces - 1) // 2
    matches = _matches(unit, person, threshold)
    own = matches[:, 0] == matches[:, 1]
    missed = genuine - np.bincount(matches[own, 0], minlength=len(faces))
    first, second = matches[~own].T
    impostors = (int(faces.sum()) ** 2 - int(faces @ faces)) // 2
    false_matches, misses = [], []
    for drawn in resample(len(faces), replicates, seed):
        total = (int(drawn @ faces) ** 2 - int((drawn * drawn) @ (faces * faces))) // 2
        false_matches.append(int(drawn[first] @ drawn[second]) / total if total else np.nan)
        own_total = int(drawn @ genuine)
        misses.append(int(drawn @ missed) / own_total if own_total else np.nan)
    return GroupRates(
        name,
        len(faces),
        len(person),
        _rate(len(first), impostors, false_matches),
        _rate(int(missed.sum()), int(genuine.sum()), misses),
    )


def _matches(unit: NDArray[np.float32], person: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Return the two people, (K, 2), of every pair of faces that matches."""
    found = []
    for start in range(0, len(unit), _BLOCK):
        rows = unit[start : start + _BLOCK]
        # Only pairs of a row with a later one.
        row, column = np.nonzero(np.triu(rows @ unit[start:].T >= threshold, 1))
        found.append(np.stack([person[start + row], person[start + column]], axis=1))
    return np.concatenate(found).astype(np.int64)


def _rate(wrong: int, comparisons: int, resampled: list[float]) -> Rate | None:
    if not comparisons:
        return None
    value = wrong / comparisons
    drawn = np.array(resampled)
    low, high = percentile_interval(drawn[~np.isnan(drawn)]) if not np.isnan(drawn).all() else (value, value)
    if not wrong:
        high = max(high, min(1.0, _RULE_OF_THREE / comparisons))
    return Rate(value, (min(low, value), max(high, value)), comparisons)
