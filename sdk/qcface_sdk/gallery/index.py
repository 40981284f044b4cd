"""Search in memory: one contiguous float32 matrix, scanned exactly by the native kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import match as kernels
from qcface_sdk.results import Candidate

_Number = TypeVar("_Number", bound=np.generic)

_FIRST_CAPACITY = 64
_ROWS_PER_SUBJECT = 4
"""Rows fetched per subject wanted in the first try; subjects with more templates than that cost another scan."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was enrolled at one moment. Never changes, so any number of threads may search it."""

    matrix: NDArray[np.float32]
    """Shape (N, D): unit vectors, in the order of enrolment."""

    owners: NDArray[np.int32]
    """Shape (N,): for each row the place of its subject in `names`."""

    names: Sequence[str]
    """Subject ids; only ever appended to."""

    subjects: int
    """How many of `names` belong to this snapshot."""

    def search(self, probes: NDArray[np.float32], k: int) -> list[tuple[Candidate, ...]]:
        """Return for each of the unit vectors `probes` (M, D) the `k` most similar subjects, best first.

        A subject is as similar as its most similar template. Exact; of equals the one enrolled first comes first.
        """
        rows, wanted = len(self.matrix), min(k, self.subjects)
        fetched = min(rows, _ROWS_PER_SUBJECT * wanted)
        while True:
            index = np.empty((len(probes), fetched), np.int64)
            scores = np.empty((len(probes), fetched), np.float32)
            kernels.top_k_float32(self.matrix, probes, fetched, index, scores)
            # Unit vectors rounded to float32 can reach a little beyond 1. NaN stays NaN.
            np.clip(scores, -1.0, 1.0, out=scores)
            best = [_first_of_each(owners, wanted) for owners in self.owners[index].tolist()]
            if fetched == rows or all(len(places) == wanted for places in best):
                break
            fetched = min(rows, 4 * fetched)
        return [
            tuple(self._candidate(index[probe, place], scores[probe, place]) for place in places)
            for probe, places in enumerate(best)
        ]

    def _candidate(self, row: np.int64, score: np.float32) -> Candidate:
        return Candidate(self.names[self.owners[row]], float(score))


def _first_of_each(owners: list[int], wanted: int) -> list[int]:
    """Places where the first `wanted` different owners appear, ascending."""
    places: dict[int, int] = {}
    for place, owner in enumerate(owners):
        places.setdefault(owner, place)
        if len(places) == wanted:
            break
    return list(places.values())


class Index:
    """The rows to search, in the order of enrolment. Not thread-safe; its snapshots are."""

    def __init__(self) -> None:
        self._count = 0
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._owners: NDArray[np.int32] = np.empty(0, np.int32)
        self._matrix: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._names: list[str] = []
        self._places: dict[str, int] = {}

    @property
    def last_id(self) -> int:
        """Highest template id present, 0 if there is none."""
        return int(self._ids[self._count - 1]) if self._count else 0

    def snapshot(self) -> Snapshot:
        """Return what is present now; later changes do not reach it."""
        return Snapshot(self._matrix[: self._count], self._owners[: self._count], self._names, len(self._names))

    def append(self, ids: Sequence[int], names: Sequence[str], vectors: Sequence[NDArray[np.float32]]) -> None:
        """Add rows with ids above `last_id`, ascending. Snapshots taken before do not see them."""
        end = self._count + len(ids)
        self._reserve(end, len(vectors[0]))
        self._ids[self._count : end] = ids
        self._matrix[self._count : end] = vectors
        self._owners[self._count : end] = [self._place(name) for name in names]
        self._count = end

    def keep(self, ids: NDArray[np.int64]) -> None:
        """Drop the rows whose id is not among `ids`, into new arrays: a running search goes on in the old ones."""
        kept = np.isin(self._ids[: self._count], ids, assume_unique=True)
        self._ids = self._ids[: self._count][kept]
        self._matrix = self._matrix[: self._count][kept]
        used, owners = np.unique(self._owners[: self._count][kept], return_inverse=True)
        self._owners = owners.astype(np.int32)
        self._count = len(self._ids)
        self._names = [self._names[place] for place in used]
        self._places = {name: place for place, name in enumerate(self._names)}

    def _place(self, name: str) -> int:
        place = self._places.setdefault(name, len(self._names))
        if place == len(self._names):
            self._names.append(name)
        return place

    def _reserve(self, rows: int, dimension: int) -> None:
        if rows <= len(self._ids):
            return
        capacity = max(rows, 2 * len(self._ids), _FIRST_CAPACITY)
        self._ids = _grown(self._ids, (capacity,), self._count)
        self._owners = _grown(self._owners, (capacity,), self._count)
        self._matrix = _grown(self._matrix, (capacity, dimension), self._count)


def _grown(array: NDArray[_Number], shape: tuple[int, ...], count: int) -> NDArray[_Number]:
    larger: NDArray[_Number] = np.empty(shape, array.dtype)
    if count:
        larger[:count] = array[:count]
    return larger
