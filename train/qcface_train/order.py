"""The order of an epoch's pictures, and seeds: functions of seed, epoch and step, so nothing of it is ever saved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def mixed_seed(*numbers: int) -> int:
    """Return 64 well-mixed bits of numbers from 0, for a generator that takes one seed; equal ones give equal bits."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


class EpochOrder:
    """Endless order of some rows, a new one in each epoch; any part of it can be asked for at any time.

    Parameters
    ----------
    rows : ndarray of int64
        What to order.
    groups : ndarray of int64, same length
        The file that each row lies in.
    window : int
        Files that are open at a time: their order is drawn, then rows are mixed within each run of so many
        files. 0 mixes all rows freely, which suits memory maps and fast disks.
    seed : int
        Equal seeds, equal orders.
    """

    def __init__(self, rows: Rows, groups: Rows, window: int, seed: int) -> None:
        if len(groups) != len(rows):
            raise ValueError(f"expected a group for each of {len(rows)} rows, got {len(groups)}")
        self._rows, self._groups, self._window, self._seed = rows, groups, window, seed
        self._last: tuple[int, Rows] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, start: int, count: int) -> Rows:
        """Return `count` rows from position `start`, which counts through all epochs."""
        positions = np.arange(start, start + count)
        epochs = positions // len(self._rows)
        taken = np.empty(count, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            taken[here] = self._epoch(int(epoch))[positions[here] % len(self._rows)]
        return taken

    def _epoch(self, epoch: int) -> Rows:
        last = self._last
        if last is None or last[0] != epoch:
            last = (epoch, self._draw(epoch))
            self._last = last  # one assignment: several threads may ask at once
        return last[1]

    def _draw(self, epoch: int) -> Rows:
        rng = np.random.default_rng([self._seed, 2, epoch])
        if not self._window:
            return self._rows[rng.permutation(len(self._rows))]
        files = rng.permutation(np.unique(self._groups))
        parts = []
        for start in range(0, len(files), self._window):
            inside = np.flatnonzero(np.isin(self._groups, files[start : start + self._window]))
            parts.append(self._rows[rng.permutation(inside)])
        return np.concatenate(parts)
