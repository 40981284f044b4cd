"""Margins that also weigh other classes: those that a sample is closer to than to its own, margin included.

Which classes are hard is always judged against the *own* class with its margin, and the own class is never among them
(the target is written over it). Comparing each class with its own margined cosine instead makes every class of an acute
angle "hard", and without writing the target back the margin is lost; published code has done both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from qcface_train.heads.margins import ArcMargin


def _turned(own: Tensor, margin: float) -> Tensor:
    """Return cos(theta + m) of detached own cosines, without any rule for large angles."""
    own = own.detach()
    sine = torch.sqrt((1 - own * own).clamp_min(0))
    return own * math.cos(margin) - sine * math.sin(margin)


class CurricularFace(ArcMargin):
    """Hard classes count more as training goes on (Huang et al., CVPR 2020, eq. 8 to 10).

    Parameters
    ----------
    momentum : float
        Weight of a new batch in the running mean of the own cosines, which is the weight t of hard classes.
    """

    def __init__(self, margin: float = 0.5, scale: float = 64.0, momentum: float = 0.01, *, easy: bool = False) -> None:
        super().__init__(margin, scale, easy=easy)
        self.momentum = momentum
        self.t: Tensor
        self.register_buffer("t", torch.tensor(0.0))

    def observe(self, own: Tensor, norms: Tensor) -> None:
        """Move t towards the batch's mean own cosine."""
        if len(own):
            self.t.lerp_(own.mean(), self.momentum)

    def others(self, cosines: Tensor, own: Tensor) -> Tensor:
        """Return ``c (t + c)`` for hard classes."""
        hard = cosines > _turned(own, self.margin)[:, None]
        return torch.where(hard, cosines * (self.t + cosines), cosines)


class MvSoftmax(ArcMargin):
    """Hard classes count more by a constant (Wang et al., AAAI 2020, eq. 8, fixed weight).

    Parameters
    ----------
    t : float
        A hard cosine c becomes ``t c + t - 1``.
    """

    def __init__(self, margin: float = 0.5, scale: float = 64.0, t: float = 1.12, *, easy: bool = False) -> None:
        super().__init__(margin, scale, easy=easy)
        self.t = t

    def others(self, cosines: Tensor, own: Tensor) -> Tensor:
        """Return ``t c + t - 1`` for hard classes."""
        hard = cosines > _turned(own, self.margin)[:, None]
        return torch.where(hard, self.t * cosines + self.t - 1, cosines)
