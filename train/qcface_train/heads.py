"""Classification heads on the hypersphere: cosines to all classes, and logits with a margin on the own class."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CosineHead(nn.Module):
    """Unit class weights; gives the un-margined cosines that recognizability needs.

    Parameters
    ----------
    classes, size : int
        Number of classes C and length of an embedding.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        # Length sqrt(D) puts each number near 1, where a step of Adam turns a class weight by a fraction of a percent.
        self._length = math.sqrt(size)
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, size).uniform_(-1, 1), dim=1) * self._length)

    @torch.no_grad()
    def start_from(self, centres: Tensor) -> None:
        """Set the class weights to given directions (C, D), such as the teacher's mean embedding of each class."""
        if centres.shape != self.weight.shape:
            raise ValueError(f"expected centres of shape {tuple(self.weight.shape)}, got {tuple(centres.shape)}")
        self.weight.copy_(F.normalize(centres.float(), dim=1) * self._length)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map raw embeddings (N, D) to cosines (N, C) in -1 to 1; float32."""
        with torch.autocast(embeddings.device.type, enabled=False):
            cosines = F.normalize(embeddings.float(), dim=1) @ F.normalize(self.weight.float(), dim=1).T
            return cosines.clamp(-1, 1)


class ArcMargin(nn.Module):
    """ArcFace: the own class's angle is enlarged by a constant margin (Deng et al., CVPR 2019, eq. 3).

    Below the own angle's turning point pi - margin the cosine is replaced by its straight continuation, so that the
    target logit falls steadily over the whole range; the jump of the "easy margin" at 90 degrees is avoided.
    """

    def __init__(self, margin: float = 0.5, scale: float = 64.0) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Map cosines (N, C) and labels (N,) to logits (N, C)."""
        own = cosines.gather(1, labels[:, None])  # (N, 1)
        # At |cos| = 1 the square root has an infinite slope, which a mask does not stop from becoming NaN.
        sine = torch.sqrt((1 - own * own).clamp_min(1e-12))
        turned = own * math.cos(self.margin) - sine * math.sin(self.margin)
        beyond = own - math.sin(math.pi - self.margin) * self.margin
        target = torch.where(own > math.cos(math.pi - self.margin), turned, beyond)
        return cosines.scatter(1, labels[:, None], target) * self.scale
