"""Mixed faces: blends of two pictures as further inputs for distillation, which needs no identity.

A blend lies between the faces that the teacher was asked about, so that the student learns its embedding there too.
Which pictures are blended, with which and how strongly depends on the seed, the step and the place in the batch of all
processes alone, like everything else of a batch. Pictures are blended before they are augmented.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_LEAST_OWN = 0.5
"""Smallest share of a picture in its own blend; a smaller one would only swap the two."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the P pictures of a batch, or of a part of it, come from."""

    rows: NDArray[np.int64]
    """(P,) rows of the face set."""
    partners: NDArray[np.int64]
    """(P,) rows of what each is blended with; the own row where nothing is."""
    shares: NDArray[np.float32]
    """(P,) share of the own picture; 1 where it is left alone."""

    @property
    def mixed(self) -> NDArray[np.int64]:
        """Places that hold a blend."""
        return np.flatnonzero(self.shares < 1)


def draw_sources(batch: NDArray[np.int64], part: range, seed: int, step: int, mixed_share: float) -> Sources:
    """Draw blends for a part of a batch.

    Parameters
    ----------
    batch : ndarray of int64, shape (B,)
        Rows of the batch of all processes.
    part : range
        Places of this process.
    seed, step : int
        Equal ones, equal blends.
    mixed_share : float
        Probability that a picture is blended with another one of the batch.
    """
    rows = batch[part.start : part.stop]
    partners, shares = rows.copy(), np.ones(len(rows), np.float32)
    if mixed_share and len(batch) > 1:
        for index, place in enumerate(part):
            rng = np.random.default_rng([seed, 5, step, place])
            if rng.random() < mixed_share:
                partners[index] = batch[(place + rng.integers(1, len(batch))) % len(batch)]
                shares[index] = rng.uniform(_LEAST_OWN, 1)
    return Sources(rows, partners, shares)


def blend_pictures(own: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """Return ``share own + (1 - share) other`` of uint8 pictures (M, H, W, 3); shares are (M,)."""
    share = shares.to(own.device)[:, None, None, None]
    return (other + share * (own.float() - other)).round().to(torch.uint8)


def blend_targets(own: Tensor, other: Tensor, shares: Tensor) -> Tensor:
    """Return the unit vectors of ``share own + (1 - share) other``; targets are (M, D), shares (M,)."""
    return F.normalize(other + shares[:, None] * (own - other), dim=1)
