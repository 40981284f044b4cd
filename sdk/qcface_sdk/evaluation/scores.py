"""Compare every face of a labelled set with every other, keeping what error rates need and no more.

7,701 faces make 29.6 million impostor comparisons; only the highest of them decide a threshold. So the genuine scores
and the top of the impostor scores are kept exactly, with the two people each came from (a bootstrap by identity needs
them), and the rest as a histogram.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qcface_sdk.checks import check_embeddings, check_fraction, check_positive_int
from qcface_sdk.errors import InputError, NotFiniteError, ShapeError

HISTOGRAM_BINS = 2000
"""Equal bins over the similarities -1..1."""


@dataclass(frozen=True, slots=True)
class PairScores:
    """All comparisons inside one labelled set of faces."""

    genuine: NDArray[np.float32]
    """(G,), similarities of all pairs of one person."""
    genuine_pairs: NDArray[np.int32]
    """(G, 2), rows of the faces compared."""
    impostor: NDArray[np.float32]
    """(K,), the K highest similarities of pairs of two people, highest first."""
    impostor_pairs: NDArray[np.int32]
    """(K, 2), rows of the faces compared."""
    impostor_count: int
    """Number of impostor pairs in all, at least K."""
    histogram: NDArray[np.int64]
    """(HISTOGRAM_BINS,), counts of all impostor similarities over -1..1."""
    subjects: NDArray[np.int64]
    """(N,), number of the person on each face, 0 to the number of people - 1."""

    def __post_init__(self) -> None:
        for name in ("genuine", "genuine_pairs", "impostor", "impostor_pairs", "histogram", "subjects"):
            getattr(self, name).flags.writeable = False

    @property
    def subject_count(self) -> int:
        """Number of people."""
        return int(self.subjects.max()) + 1

    @property
    def largest_fmr(self) -> float:
        """The largest false match rate that the kept impostor scores can answer for."""
        kept = len(self.impostor)
        return 1.0 if kept == self.impostor_count else (kept - 1) / self.impostor_count


def score_all_pairs(embeddings: ArrayLike, labels: ArrayLike, *, tail: float = 0.02, block: int = 512) -> PairScores:
    """Compare every face with every other by cosine.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Raw or unit; only the direction counts.
    labels : array_like of int or str, shape (N,)
        Who is on each face.
    tail : float, default 0.02
        Share of the impostor scores, from the top, that is kept exactly; the largest false match rate that can be
        asked for, with room for a bootstrap.
    block : int, default 512
        Rows compared at a time; bounds the memory.

    Returns
    -------
    PairScores

    Raises
    ------
    ShapeError, NotFiniteError
        If `embeddings` or `labels` have the wrong shape, or an embedding is not finite or zero.
    InputError
        If there is no pair of one person or no pair of two people.
    OptionError
        If `tail` or `block` is out of range.

    Notes
    -----
    Each pair is counted once (i < j). Similarities are float32 products of float32 unit vectors, as in the engine.
    """
    check_fraction("tail", tail)
    check_positive_int("block", block)
    unit = unit_rows(embeddings)
    subjects = number_labels(labels, len(unit))
    genuine_pairs, impostor_count = _count_pairs(subjects)
    keep = min(impostor_count, math.ceil(tail * impostor_count) + 1)
    top = _Top(keep)
    histogram = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    for start in range(0, len(unit), block):
        rows = unit[start : start + block]
        similarity = rows @ unit[start:].T
        columns = np.arange(start, len(unit))
        own = np.arange(start, start + len(rows))
        impostors = (subjects[own][:, None] != subjects[columns][None]) & (columns[None] > own[:, None])
        histogram += _histogram(similarity[impostors])
        row, column = np.nonzero(impostors & (similarity >= top.cut))
        top.add(similarity[row, column], own[row], columns[column])
    scores, pairs = top.sorted()
    genuine = _dot(unit, genuine_pairs)
    return PairScores(genuine, genuine_pairs, scores, pairs, impostor_count, histogram, subjects)


def score_pairs(embeddings: ArrayLike, pairs: NDArray[Any]) -> NDArray[np.float32]:
    """Return the cosine of listed pairs of faces.

    Parameters
    ----------
    embeddings : array_like of float, shape (N, D)
        Raw or unit.
    pairs : ndarray of int, shape (P, 2)
        Rows of `embeddings`.

    Returns
    -------
    ndarray of float32, shape (P,)

    Raises
    ------
    ShapeError, NotFiniteError
        If an argument has the wrong shape or an embedding is not finite or zero.
    """
    unit = unit_rows(embeddings)
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs.size and not 0 <= pairs.min() <= pairs.max() < len(unit)):
        raise ShapeError(f"pairs must be row numbers 0..{len(unit) - 1} of shape (P, 2), got shape {pairs.shape}")
    return _dot(unit, pairs)


def unit_rows(embeddings: ArrayLike) -> NDArray[np.float32]:
    """Return embeddings (N, D) at unit length; a zero vector is an error."""
    rows = check_embeddings(embeddings)
    length = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    if (length == 0).any():
        raise NotFiniteError("embeddings must not be zero vectors, which have no direction; drop those faces")
    return np.asarray(rows / length, dtype=np.float32)


def number_labels(labels: ArrayLike, count: int) -> NDArray[np.int64]:
    """Return labels as numbers 0..S-1, one for each of `count` faces."""
    names: NDArray[Any] = np.asarray(labels)
    if names.shape != (count,):
        raise ShapeError(f"labels must be one per face, shape ({count},), got {names.shape}")
    return np.unique(names, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _dot(unit: NDArray[np.float32], pairs: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(np.einsum("ij,ij->i", unit[pairs[:, 0]], unit[pairs[:, 1]]), np.float32)


def _count_pairs(subjects: NDArray[np.int64]) -> tuple[NDArray[np.int32], int]:
    order = np.argsort(subjects, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(subjects[order])) + 1)
    within = [np.sort(group)[np.stack(np.triu_indices(len(group), 1), axis=1)] for group in groups if len(group) > 1]
    genuine = np.concatenate(within).astype(np.int32) if within else np.empty((0, 2), np.int32)
    impostor_count = len(subjects) * (len(subjects) - 1) // 2 - len(genuine)
    if not len(genuine) or not impostor_count:
        raise InputError(
            f"a labelled set needs two faces of one person and two people, got {len(subjects)} faces of {len(groups)}"
        )
    return genuine, impostor_count


def _histogram(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    place = np.clip((scores + 1.0) * (HISTOGRAM_BINS / 2), 0, HISTOGRAM_BINS - 1).astype(np.int32)
    return np.bincount(place, minlength=HISTOGRAM_BINS).astype(np.int64)


class _Top:
    """The `keep` highest scores of a stream; `cut` is a value that no kept score can lie below."""

    def __init__(self, keep: int) -> None:
        self.cut = -np.inf
        self._keep = keep
        self._parts: list[tuple[NDArray[np.float32], NDArray[np.int32]]] = []
        self._held = 0

    def add(self, scores: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        self._parts.append((scores, np.stack([rows, columns], axis=1).astype(np.int32)))
        self._held += len(scores)
        if self._held > 2 * self._keep:
            self._shrink()

    def sorted(self) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        self._shrink()
        scores, pairs = self._parts[0]
        order = np.lexsort((pairs[:, 1], pairs[:, 0], -scores))
        return scores[order], pairs[order]

    def _shrink(self) -> None:
        scores = np.concatenate([part[0] for part in self._parts])
        pairs = np.concatenate([part[1] for part in self._parts])
        if len(scores) > self._keep:
            best = np.argpartition(scores, len(scores) - self._keep)[-self._keep :]
            scores, pairs = scores[best], pairs[best]
            self.cut = float(scores.min())
        self._parts, self._held = [(scores, pairs)], len(scores)
