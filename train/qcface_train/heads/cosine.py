"""The classifier on the hypersphere: cosines of embeddings to all class directions."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Class weights, of which only the direction counts; gives the un-margined cosines that recognizability needs.

    Parameters
    ----------
    classes, size : int
        Number of classes C and numbers D of an embedding.

    Attributes
    ----------
    length : float
        Length that class weights begin with.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        # Length sqrt(D) puts each number near 1, where a step of Adam turns a class weight by a fraction of a percent.
        # A step of SGD would hardly turn it at all: see `make_optimiser`.
        self.length = math.sqrt(size)
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, size).uniform_(-1, 1), dim=1) * self.length)

    @torch.no_grad()
    def start_from(self, centres: Tensor) -> None:
        """Set the class weights to given directions (C, D), such as the teacher's mean embedding of each class."""
        if centres.shape != self.weight.shape:
            raise ValueError(f"expected centres of shape {tuple(self.weight.shape)}, got {tuple(centres.shape)}")
        self.weight.copy_(F.normalize(centres.float(), dim=1) * self.length)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map raw embeddings (N, D) to cosines (N, C) in -1 to 1; float32."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = F.normalize(embeddings.float(), dim=1) @ F.normalize(self.weight.float(), dim=1).T
            return cosines.clamp(-1, 1)


def class_centres(targets: NDArray[np.float32], classes: NDArray[np.int64], count: int) -> Tensor:
    """Return the sum of the teacher embeddings of each class, (count, D); its direction is the mean one.

    Parameters
    ----------
    targets : ndarray of float32, shape (N, D)
        Unit embeddings.
    classes : ndarray of int64, shape (N,)
        0 to count - 1; below 0 for a picture without a class.
    """
    centres = torch.zeros(count, targets.shape[1])
    rows = np.flatnonzero(classes >= 0)
    centres.index_add_(0, torch.from_numpy(classes[rows]), torch.from_numpy(targets[rows]))
    return centres
