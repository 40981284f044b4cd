"""Margins: logits from cosines, with the own class made harder to reach.

Every margin is two small functions: what becomes of the own cosine (``target``, of shape (N,)) and of all others
(``others``, (N, C)). Nothing is ever computed for N x C numbers that is needed for N only, the target is written over
whatever happened to the others, and a classifier whose classes are spread over several processes can use the same code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def enlarge_angle(own: Tensor, margin: float | Tensor, *, easy: bool = False) -> Tensor:
    """Return the cosine of each own angle plus a margin.

    Parameters
    ----------
    own : Tensor, shape (N,)
        Cosines to the own class.
    margin : float or Tensor of shape (N,)
        Radians, between 0 and pi / 2.
    easy : bool, default False
        What happens where the angle plus the margin goes beyond pi and the cosine would rise again. By default the
        cosine is lowered by ``margin sin(margin)`` there, so that the result falls steadily over all angles. If true
        the margin is dropped from 90 degrees on, the published rule of MagFace, MV-Softmax and QCFace: the result then
        jumps up at 90 degrees, and the worst samples get no margin.
    """
    # At |cos| = 1 the square root has an infinite slope, which a mask does not stop from becoming NaN.
    sine = torch.sqrt((1 - own * own).clamp_min(1e-12))
    margin = torch.as_tensor(margin, dtype=own.dtype, device=own.device)
    turned = own * torch.cos(margin) - sine * torch.sin(margin)
    if easy:
        return torch.where(own > 0, turned, own)
    return torch.where(own > -torch.cos(margin), turned, own - margin * torch.sin(margin))


class Margin(nn.Module):
    """No margin: the normalised softmax; and the base of all margins.

    Parameters
    ----------
    scale : float
        Multiplies all cosines, with and without margin.
    """

    def __init__(self, scale: float = 64.0) -> None:
        super().__init__()
        self.scale = scale

    def target(self, own: Tensor, norms: Tensor) -> Tensor:
        """Return the own cosines with the margin; all (N,)."""
        return own

    def others(self, cosines: Tensor, own: Tensor) -> Tensor:
        """Return all cosines (N, C) as they count when the class is not the own one; `own` is (N,)."""
        return cosines

    def observe(self, own: Tensor, norms: Tensor) -> None:
        """Take in a training batch's own cosines and norms, for margins that keep running figures."""

    def forward(self, cosines: Tensor, labels: Tensor, norms: Tensor) -> Tensor:
        """Map cosines to logits.

        Parameters
        ----------
        cosines : Tensor, shape (N, C)
            Un-margined; not modified.
        labels : Tensor of int64, shape (N,)
            The own classes.
        norms : Tensor, shape (N,)
            Lengths of the raw embeddings.

        Returns
        -------
        Tensor, shape (N, C)
            For a cross-entropy loss.

        Raises
        ------
        ValueError
            If the shapes do not fit each other. ((N, 1) would broadcast to (N, N) without a word.)
        """
        if cosines.ndim != 2 or labels.shape != cosines.shape[:1] or norms.shape != labels.shape:
            raise ValueError(
                "expected cosines (N, C), labels (N,) and norms (N,), got "
                f"{tuple(cosines.shape)}, {tuple(labels.shape)} and {tuple(norms.shape)}"
            )
        return self.shift(cosines, cosines.gather(1, labels[:, None])[:, 0], labels, norms)

    def shift(self, cosines: Tensor, own: Tensor, columns: Tensor, norms: Tensor) -> Tensor:
        """Do as `forward` for a slice of the classes.

        Parameters
        ----------
        cosines : Tensor, shape (N, C')
            To the classes of the slice.
        own : Tensor, shape (N,)
            To the own class, wherever that is.
        columns : Tensor of int64, shape (N,)
            Column of the own class; -1 where it lies in another slice.
        norms : Tensor, shape (N,)
            Lengths of the raw embeddings.
        """
        if self.training:
            with torch.no_grad():
                self.observe(own.detach(), norms.detach())
        target = self.target(own, norms)
        rows = torch.nonzero(columns >= 0)[:, 0]
        return self.others(cosines, own).index_put((rows, columns[rows]), target[rows]) * self.scale


class CosFace(Margin):
    """The own cosine is lowered by a constant (Wang et al., CVPR 2018, eq. 4)."""

    def __init__(self, margin: float = 0.35, scale: float = 64.0) -> None:
        super().__init__(scale)
        self.margin = margin

    def target(self, own: Tensor, norms: Tensor) -> Tensor:
        """Return ``cos - m``."""
        return own - self.margin


class ArcMargin(Margin):
    """ArcFace: the own angle is enlarged by a constant (Deng et al., CVPR 2019, eq. 3)."""

    def __init__(self, margin: float = 0.5, scale: float = 64.0, *, easy: bool = False) -> None:
        super().__init__(scale)
        self.margin, self.easy = margin, easy

    def target(self, own: Tensor, norms: Tensor) -> Tensor:
        """Return ``cos(theta + m)``."""
        return enlarge_angle(own, self.margin, easy=self.easy)


class MagFace(Margin):
    """The margin grows with the length of the embedding (Meng et al., CVPR 2021, eq. 6); needs `MagFaceNorm` beside it.

    Parameters
    ----------
    lengths : two float
        Lengths at which the margin is smallest and largest; beyond them neither margin nor gradient changes.
    margins : two float
        The margins there, radians.
    """

    def __init__(
        self,
        lengths: Sequence[float] = (10.0, 110.0),
        margins: Sequence[float] = (0.45, 0.8),
        scale: float = 64.0,
        *,
        easy: bool = False,
    ) -> None:
        super().__init__(scale)
        self.la, self.ua = lengths
        self.lowest, self.highest = margins
        self.easy = easy

    def target(self, own: Tensor, norms: Tensor) -> Tensor:
        """Return ``cos(theta + m(z))``; the gradient goes into the length too."""
        share = (norms.clamp(self.la, self.ua) - self.la) / (self.ua - self.la)
        return enlarge_angle(own, self.lowest + (self.highest - self.lowest) * share, easy=self.easy)


class AdaFace(Margin):
    """The margin depends on the length relative to those of the last batches (Kim et al., CVPR 2022, eq. 9 to 11).

    Parameters
    ----------
    margin : float
        Radians.
    h : float
        How much a deviation of the length from the mean counts.
    momentum : float
        Weight of a new batch in the running mean and deviation.
    """

    _SMALLEST_ANGLE = 1e-3

    def __init__(self, margin: float = 0.4, h: float = 0.333, momentum: float = 0.01, scale: float = 64.0) -> None:
        super().__init__(scale)
        self.margin, self.h, self.momentum = margin, h, momentum
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(20.0))
        self.register_buffer("deviation", torch.tensor(100.0))

    def observe(self, own: Tensor, norms: Tensor) -> None:
        """Move mean and deviation towards the batch's."""
        lengths = norms.clamp(1e-3, 100)
        if len(lengths) > 1:  # one length has no deviation
            self.mean.lerp_(lengths.mean(), self.momentum)
            self.deviation.lerp_(lengths.std(), self.momentum)

    def target(self, own: Tensor, norms: Tensor) -> Tensor:
        """Return ``cos(theta - m k) - m - m k`` with the detached, normalised length k."""
        lengths = norms.detach().clamp(1e-3, 100)
        k = ((lengths - self.mean) / (self.deviation + 1e-3) * self.h).clamp(-1, 1)
        smallest = self._SMALLEST_ANGLE
        angle = torch.acos(own.clamp(-1 + smallest, 1 - smallest)) - self.margin * k
        return torch.cos(angle.clamp(smallest, math.pi - smallest)) - self.margin * (1 + k)
