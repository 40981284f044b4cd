"""What the loop is fed: identities split into training and held-out ones, and batches that depend on the step alone.

A batch depends on the seed and its number only, and so does each picture of it. Nothing about the data has to be saved
for an exact resume, threads may prepare batches ahead, and each process of several may make its own part, without
changing them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcface_train.augmentation import augment
from qcface_train.faces import UNLABELLED, DataError, FaceSet, RecordError
from qcface_train.mixing import Sources, blend_pictures, blend_targets, draw_sources
from qcface_train.order import EpochOrder

NO_CLASS = -1
"""Class of a picture that has no identity; it is used for distillation only."""

_LOG = logging.getLogger("qcface_train")
_MOST_DAMAGED_IN_A_ROW = 100


@dataclass(frozen=True, slots=True)
class Split:
    """Which pictures train and which are held out, by identity."""

    train_rows: NDArray[np.int64]
    """Rows of the face set that training may see."""
    train_classes: NDArray[np.int64]
    """(N,) for every row of the face set: contiguous class number, or `NO_CLASS`."""
    class_count: int
    """Number of training classes C."""
    held_out_rows: NDArray[np.int64]
    """Rows of the identities that are held out for choosing."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of B augmented pictures."""

    images: Tensor
    """(B, 3, 112, 112) float32, (x - 127.5) / 127.5, channels last."""
    classes: Tensor
    """(B,) int64; `NO_CLASS` where there is no identity."""
    targets: Tensor
    """(B, D) float32, the teachers' unit embeddings side by side; (B, 0) without a teacher."""


def split_identities(
    labels: NDArray[np.int64],
    held_out: int,
    seed: int,
    smallest: int = 4,
    largest: int = 40,
    *,
    smallest_class: int = 1,
    use_unlabelled: bool = True,
) -> Split:
    """Hold out whole identities, chosen by seed among those with `smallest` to `largest` pictures.

    Parameters
    ----------
    labels : ndarray of int64
        Any numbers, with or without gaps; `UNLABELLED` where there is none.
    held_out, seed : int
        How many identities to hold out, and which.
    smallest_class : int
        Identities with fewer pictures lose their label: a class of one picture has nothing to pull together.
    use_unlabelled : bool
        Whether pictures without a label train as well (they need a teacher).

    Raises
    ------
    DataError
        If fewer than `held_out` identities have that many pictures, or no labelled picture remains.
    """
    names, counts = np.unique(labels[labels != UNLABELLED], return_counts=True)
    able = names[(counts >= smallest) & (counts <= largest)]
    if len(able) < held_out:
        raise DataError(
            f"cannot hold out {held_out} identities: only {len(able)} have {smallest} to {largest} pictures; "
            "lower held_out"
        )
    kept_out = np.random.default_rng([seed, 1]).choice(able, held_out, replace=False)
    is_out = np.isin(labels, kept_out)
    train_names = np.setdiff1d(names[counts >= smallest_class], kept_out)
    if not len(train_names):
        raise DataError("no labelled picture remains for training; lower held_out or add labelled shards")
    classes = np.full(len(labels), NO_CLASS, np.int64)
    known = np.isin(labels, train_names) & ~is_out
    classes[known] = np.searchsorted(train_names, labels[known])
    trains = ~is_out if use_unlabelled else known
    gaps = int(names[-1]) + 1 - len(names)
    single = int(np.sum(counts == 1))
    if gaps or single:
        _LOG.info("labels: %d identities, %d unused numbers, %d identities of one picture", len(names), gaps, single)
    return Split(np.flatnonzero(trains), classes, len(train_names), np.flatnonzero(is_out))


class BatchMaker:
    """Makes batch number `step`, or one process's part of it; safe to call from several threads.

    Parameters
    ----------
    faces, split : FaceSet, Split
        Pictures and which of them to use.
    targets : ndarray of float32, shape (N, D), or None
        Teacher embeddings of all pictures of the face set.
    size, seed : int
        Pictures of a batch of all processes together; seed of order and augmentation.
    window : int
        Files that an epoch's order stays within at a time (see `EpochOrder`); 0 for any.
    part : slice, optional
        Which places of each batch to make; all by default.
    mixed_share : float
        Share of pictures that are blended with another one (see `qcface_train.mixing`).
    """

    def __init__(
        self,
        faces: FaceSet,
        split: Split,
        targets: NDArray[np.float32] | None,
        size: int,
        seed: int,
        *,
        window: int = 0,
        part: slice | None = None,
        mixed_share: float = 0.0,
    ) -> None:
        if len(split.train_rows) < size:
            raise DataError(f"batch size {size} exceeds the {len(split.train_rows)} training pictures; lower it")
        self.faces, self.split, self.size, self.seed, self.mixed_share = faces, split, size, seed, mixed_share
        self.part = range(size)[part or slice(None)]
        self.targets = targets if targets is not None else np.zeros((len(faces), 0), np.float32)
        groups = faces.groups if len(faces.groups) else np.zeros(len(faces), np.int64)
        self._order = EpochOrder(split.train_rows, groups[split.train_rows], window, seed)
        self._damaged: set[int] = set()

    @property
    def skipped(self) -> int:
        """Damaged pictures met so far; another picture took the place of each."""
        return len(self._damaged)

    def sources(self, step: int) -> Sources:
        """Return where this part of batch `step` comes from: a new order of all training pictures in each epoch."""
        batch = self._order.take(step * self.size, self.size)
        return draw_sources(batch, self.part, self.seed, step, self.mixed_share)

    def read(self, step: int) -> tuple[NDArray[np.uint8], Sources]:
        """Return this part's pictures of batch `step`, (P, 112, 112, 3) RGB, blended, and where they come from."""
        sources = self.sources(step)
        pictures, rows = self._pictures(sources.rows)
        mixed, partners = sources.mixed, sources.partners
        if len(mixed):
            others, partners[mixed] = self._pictures(partners[mixed])
            own, other, shares = (torch.from_numpy(x) for x in (pictures[mixed], others, sources.shares[mixed]))
            pictures[mixed] = blend_pictures(own, other, shares).numpy()
        return pictures, Sources(rows, partners, sources.shares)

    def make(self, step: int, damage_share: float, worst: float) -> Batch:
        """Return this part of batch `step` with the given strength of augmentation (see `augment`)."""
        pictures, sources = self.read(step)
        for index, place in enumerate(self.part):
            rng = np.random.default_rng([self.seed, 3, step, place])
            pictures[index] = augment(pictures[index], rng, damage_share, worst)
        return Batch(to_network_input(pictures), *self.answers(sources))

    def answers(self, sources: Sources) -> tuple[Tensor, Tensor]:
        """Return classes and targets; a blend has no class, and the direction between both targets."""
        classes, targets = (torch.from_numpy(x[sources.rows]) for x in (self.split.train_classes, self.targets))
        mixed = sources.mixed
        if len(mixed):
            classes[mixed] = NO_CLASS
            others = torch.from_numpy(self.targets[sources.partners[mixed]])
            targets[mixed] = blend_targets(targets[mixed], others, torch.from_numpy(sources.shares[mixed]))
        return classes, targets

    def _pictures(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return pictures, and the rows they are of: others in the place of damaged ones."""
        pictures, found = np.empty((len(rows), *self.faces.images.shape[1:]), np.uint8), rows.copy()
        for place, row in enumerate(rows.tolist()):
            pictures[place], found[place] = self._picture(row)
        return pictures, found

    def _picture(self, row: int) -> tuple[NDArray[np.uint8], int]:
        """Return a picture and its row; in the place of a damaged one the next training picture that is whole."""
        place = -1
        for further in range(_MOST_DAMAGED_IN_A_ROW):
            try:
                return np.asarray(self.faces.images[row]), row
            except RecordError as error:
                if row not in self._damaged:
                    self._damaged.add(row)
                    _LOG.warning("record skipped (%d so far): %s", len(self._damaged), error)
            if further == 0:
                place = int(np.searchsorted(self.split.train_rows, row))
            row = int(self.split.train_rows[(place + further + 1) % len(self.split.train_rows)])
        raise DataError(f"{_MOST_DAMAGED_IN_A_ROW} damaged records in a row, up to row {row}; the data are not usable")


def to_network_input(pictures: NDArray[np.uint8]) -> Tensor:
    """Map RGB crops (B, H, W, 3) to (B, 3, H, W) float32 in -1 to 1; the memory stays channels last."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


_T = TypeVar("_T")


def ahead(
    make: Callable[[int], _T], first: int, last: Callable[[], int], depth: int = 3, workers: int = 1
) -> Iterator[tuple[int, _T]]:
    """Yield (step, make(step)) from `first` while step < last(), prepared ahead by threads.

    Threads are enough: OpenCV lets go of Python's lock while it works on pixels.
    """
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(workers, "batch") as pool:
        waiting: deque[tuple[int, Future[_T]]] = deque()
        upcoming = first
        step = first
        try:
            while step < last():
                while len(waiting) < depth + workers - 1:
                    waiting.append((upcoming, pool.submit(make, upcoming)))
                    upcoming += 1
                step, future = waiting.popleft()
                yield step, future.result()
                step += 1
        finally:
            for _, future in waiting:
                future.cancel()
