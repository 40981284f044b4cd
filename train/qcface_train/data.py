"""What the loop is fed: identities split into training and held-out ones, and batches that depend on the step alone.

A batch depends on the seed and its number only. Nothing about the data has to be saved for an exact resume, and threads
may prepare batches ahead without changing them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qcface_train.augmentation import augment
from qcface_train.shards import UNLABELLED, DataError, FaceSet

NO_CLASS = -1
"""Class of a picture that has no identity; it is used for distillation only."""


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
    """(B, D) float32, the teacher's unit embedding; (B, 0) without a teacher."""


def split_identities(
    labels: NDArray[np.int64], held_out: int, seed: int, smallest: int = 4, largest: int = 40
) -> Split:
    """Hold out whole identities, chosen by seed among those with `smallest` to `largest` pictures.

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
    train_names = np.setdiff1d(names, kept_out)
    if not len(train_names):
        raise DataError("no labelled picture remains for training; lower held_out or add labelled shards")
    classes = np.full(len(labels), NO_CLASS, np.int64)
    known = (labels != UNLABELLED) & ~is_out
    classes[known] = np.searchsorted(train_names, labels[known])
    return Split(np.flatnonzero(~is_out), classes, len(train_names), np.flatnonzero(is_out))


class BatchMaker:
    """Makes batch number `step`; safe to call from several threads.

    Parameters
    ----------
    faces, split : FaceSet, Split
        Pictures and which of them to use.
    targets : ndarray of float32, shape (N, D), or None
        Teacher embeddings of all pictures of the face set.
    size, seed : int
        Pictures of a batch; seed of order and augmentation.
    """

    def __init__(self, faces: FaceSet, split: Split, targets: NDArray[np.float32] | None, size: int, seed: int) -> None:
        if len(split.train_rows) < size:
            raise DataError(f"batch size {size} exceeds the {len(split.train_rows)} training pictures; lower it")
        self.faces, self.split, self.size, self.seed = faces, split, size, seed
        self.targets = targets if targets is not None else np.zeros((len(faces), 0), np.float32)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Return the face set rows of batch `step`: a new order of all training pictures in each epoch."""
        count = len(self.split.train_rows)
        positions = np.arange(step * self.size, (step + 1) * self.size)
        epochs = positions // count
        rows = np.empty(self.size, np.int64)
        for epoch in np.unique(epochs):
            order = np.random.default_rng([self.seed, 2, int(epoch)]).permutation(count)
            here = epochs == epoch
            rows[here] = self.split.train_rows[order[positions[here] % count]]
        return rows

    def make(self, step: int, damage_share: float, worst: float) -> Batch:
        """Return batch `step` with the given strength of augmentation (see `augment`)."""
        rows = self.rows(step)
        pictures = np.empty((self.size, *self.faces.images.shape[1:]), np.uint8)
        for place, row in enumerate(rows):
            rng = np.random.default_rng([self.seed, 3, step, place])
            pictures[place] = augment(np.asarray(self.faces.images[row]), rng, damage_share, worst)
        return Batch(
            images=to_network_input(pictures),
            classes=torch.from_numpy(self.split.train_classes[rows]),
            targets=torch.from_numpy(self.targets[rows]),
        )


def to_network_input(pictures: NDArray[np.uint8]) -> Tensor:
    """Map RGB crops (B, H, W, 3) to (B, 3, H, W) float32 in -1 to 1; the memory stays channels last."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


def ahead(
    make: Callable[[int], Batch], first: int, last: Callable[[], int], depth: int = 3
) -> Iterator[tuple[int, Batch]]:
    """Yield (step, batch) from `first` while step < last(), prepared `depth` ahead by one thread.

    One thread is enough: the pixels cost about a tenth of a training step, and OpenCV lets go of Python's lock.
    """
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(1, "batch") as pool:
        waiting: deque[tuple[int, Future[Batch]]] = deque()
        upcoming = first
        step = first
        while step < last():
            while len(waiting) < depth:
                waiting.append((upcoming, pool.submit(make, upcoming)))
                upcoming += 1
            step, future = waiting.popleft()
            yield step, future.result()
            step += 1
        for _, future in waiting:
            future.cancel()
