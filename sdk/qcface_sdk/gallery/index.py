"""Search in memory: int8 codes in blocks, scanned by the native kernel.

Blocks are never copied when the gallery grows, so a million people cost their codes and little else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import match as kernels
from qcface_sdk.gallery.codes import quantised
from qcface_sdk.gallery.rows import CodeBatch

_FIRST_CAPACITY = 64
_BLOCK_ROWS = 65_536
"""32 MB of codes of 512 numbers: long enough that a scan of it is all memory, short enough to be copied in a moment."""

_MOST_DEAD = 0.25
"""Share of removed rows at which a block is written anew without them."""

_ROUNDING = 1e-5
"""What float32 sums may add to the error of a score."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows in the order of their ids. Whoever holds a snapshot sees the first `count` of them."""

    ids: NDArray[np.int64]
    codes: NDArray[np.int8]
    scales: NDArray[np.float32]
    """NaN where the row was removed: the kernel puts such rows last."""
    count: int
    dead: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was enrolled at one moment. Never changes, so any number of threads may search it."""

    blocks: tuple[Block, ...]
    loss: float
    """Largest length of what quantising took off an enrolled vector."""

    rows: int
    """Templates present, removed ones not counted."""

    executor: Executor | None = field(default=None, repr=False)

    def scan(self, probes: NDArray[np.float32], fetch: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return ids and approximate scores (M, `fetch`) of the nearest rows, best first.

        Places without a row have id 0 and score -infinity. A true score is never further than `slack` from its
        approximation.
        """
        codes, scales, _ = quantised(probes)
        found = list(self._map(lambda block: _scan_block(block, codes, scales, fetch)))
        ids = np.concatenate([ids for ids, _ in found], axis=1)
        scores = np.concatenate([scores for _, scores in found], axis=1)
        if len(found) > 1:
            order = np.argsort(-scores, axis=1, kind="stable")[:, :fetch]
            ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
        return ids, scores

    def slack(self, probes: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return for each probe (M,) how far at most an approximate score is from the true one.

        With a = a' + r and b = b' + s (code and loss): a.b - a'.b' = r.b + a'.s, so at most |r| |b| + |a'| |s|, and
        |b| = 1, |a'| <= 1 + |r|.
        """
        _, _, losses = quantised(probes)
        return np.asarray(self.loss + (1.0 + self.loss) * losses.astype(np.float64) + _ROUNDING)

    def _map(
        self, work: Callable[[Block], tuple[NDArray[np.int64], NDArray[np.float32]]]
    ) -> Iterable[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        # The kernel releases the GIL, so threads scan side by side.
        return map(work, self.blocks) if self.executor is None else self.executor.map(work, self.blocks)


def _scan_block(
    block: Block, codes: NDArray[np.int8], scales: NDArray[np.float32], fetch: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    index = np.empty((len(codes), fetch), np.int64)
    scores = np.empty((len(codes), fetch), np.float32)
    count = block.count
    kernels.top_k_int8(block.codes[:count], block.scales[:count], codes, scales, fetch, index, scores)
    # Row -1 and removed rows both score -infinity; their ids must not be used.
    return np.where(np.isneginf(scores), 0, block.ids[:count][index]), scores


class Index:
    """The rows to search, in the order of enrolment. Not thread-safe; its snapshots are."""

    def __init__(self, executor: Executor | None = None) -> None:
        self._blocks: list[Block] = []
        self._executor = executor
        self._loss = 0.0
        self.last_id = 0
        """Highest template id ever present, 0 if there was none."""

    def snapshot(self) -> Snapshot:
        """Return what is present now; later additions do not reach it, removals may."""
        rows = sum(block.count - block.dead for block in self._blocks)
        return Snapshot(tuple(block for block in self._blocks if block.count), self._loss, rows, self._executor)

    def append(self, batch: CodeBatch) -> None:
        """Add rows with ids above `last_id`, ascending. Snapshots taken before do not see them."""
        start, total = 0, len(batch.ids)
        while start < total:
            block = self._room(total - start, batch.codes.shape[1])
            end = min(total, start + len(block.ids) - block.count)
            taken, there = slice(start, end), slice(block.count, block.count + end - start)
            block.ids[there] = batch.ids[taken]
            block.codes[there], block.scales[there] = batch.codes[taken], batch.scales[taken]
            self._blocks[-1] = _with(block, count=there.stop)
            start = end
        if total:
            self.last_id = int(batch.ids[-1])
            self._loss = max(self._loss, float(batch.losses.max()))

    def drop(self, ids: Sequence[int]) -> None:
        """Forget rows: their codes are overwritten at once, also under a search that is running.

        Such a search may still meet the row; as every row is read from the store before it can be a result, and is
        not there, nobody is found by it.
        """
        gone = np.sort(np.asarray(ids, np.int64))
        for number, block in enumerate(self._blocks):
            rows = np.flatnonzero(np.isin(block.ids[: block.count], gone, assume_unique=True))
            if rows.size:
                self._blocks[number] = _without(block, rows)

    def _room(self, rows: int, dimension: int) -> Block:
        """Return the last block, with room for at least one row."""
        last = self._blocks[-1] if self._blocks else None
        if last is not None and last.count < len(last.ids):
            return last
        if last is None or len(last.ids) >= _BLOCK_ROWS:
            capacity = min(_BLOCK_ROWS, max(rows, _FIRST_CAPACITY))
            self._blocks.append(_empty(capacity, dimension))
        else:
            larger = _empty(min(_BLOCK_ROWS, max(last.count + rows, 2 * last.count)), dimension)
            self._blocks[-1] = _copied(last, np.arange(last.count), larger)
        return self._blocks[-1]


def _empty(capacity: int, dimension: int) -> Block:
    return Block(
        np.empty(capacity, np.int64),
        np.empty((capacity, dimension), np.int8),
        np.empty(capacity, np.float32),
        0,
    )


def _copied(block: Block, rows: NDArray[np.int64], into: Block) -> Block:
    count = len(rows)
    for name in ("ids", "codes", "scales"):
        getattr(into, name)[:count] = getattr(block, name)[rows]
    return _with(into, count=count, dead=int(np.isnan(into.scales[:count]).sum()))


def _with(block: Block, *, count: int, dead: int | None = None) -> Block:
    return Block(block.ids, block.codes, block.scales, count, block.dead if dead is None else dead)


def _without(block: Block, rows: NDArray[np.int64]) -> Block:
    # A copy of the scales, so that a running search does not see a row vanish half way; the codes are overwritten.
    scales = block.scales.copy()
    scales[rows] = np.nan
    block.codes[rows] = 0
    dead = int(np.isnan(scales[: block.count]).sum())
    marked = Block(block.ids, block.codes, scales, block.count, dead)
    if dead <= _MOST_DEAD * block.count:
        return marked
    alive = np.flatnonzero(~np.isnan(scales[: block.count]))
    return _copied(marked, alive, _empty(max(len(alive), 1), block.codes.shape[1]))
