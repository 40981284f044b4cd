"""QCFace's norm loss: the length z of an embedding is drawn to an optimum that depends on how recognizable the face is.

Pure functions after arXiv 2510.15289, without the faults of its code: everything is per sample (p and z are both (N,)),
p comes from the un-margined full softmax, nothing but z carries a gradient, and the loss is written
``B (z - z*)^2 / z``, which cannot cancel and cannot be negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_SMALLEST_NORM = 0.1


@dataclass(frozen=True, slots=True)
class NormTarget:
    """The constants of the norm loss."""

    la: float = 1.0
    """Optimal length of a face that cannot be recognised (p = 0)."""
    ua: float = 100.0
    """Optimal length of a face that is recognised surely (p = 1)."""
    anchor_p: float = 0.5
    """Recognizability at which the optimum is exactly half-way, (la + ua) / 2."""

    def __post_init__(self) -> None:
        """Reject constants for which no convex loss exists."""
        if not 0 < self.la < self.ua:
            raise ValueError(f"expected 0 < la < ua, got la={self.la}, ua={self.ua}")
        if not 0 < self.anchor_p < 1:
            raise ValueError(f"anchor_p must lie inside (0, 1), got {self.anchor_p}")

    @property
    def k(self) -> float:
        """Guidance factor: makes the optimum at `anchor_p` equal (la + ua) / 2."""
        at_half = self.ua**2 * (self.ua + 3 * self.la) / (self.la**2 * (3 * self.ua + self.la))
        return at_half * (1 - self.anchor_p) / self.anchor_p


def coefficients(p: Tensor, target: NormTarget) -> tuple[Tensor, Tensor]:
    """Return A and B of the per-sample loss ``A / z + B z``; both (N,), float32."""
    p = p.float()
    a = (target.k - 1) * p + 1
    b = target.k * p / target.ua**2 + (1 - p) / target.la**2
    return a, b


def optimal_norm(p: Tensor, target: NormTarget) -> Tensor:
    """Return the length z*(p) that minimises the norm loss; (N,), float32, from la at p = 0 to ua at p = 1."""
    a, b = coefficients(p, target)
    return torch.sqrt(a / b)


def recognizability_from_norm(z: Tensor, target: NormTarget) -> Tensor:
    """Invert `optimal_norm`: the recognizability whose optimum is z; (N,), 0 below la and 1 above ua."""
    square = z.float().clamp(target.la, target.ua) ** 2
    low, high = square / target.la**2 - 1, target.k * (1 - square / target.ua**2)
    return low / (low + high)


def guidance(cosines: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Return p, the recognizability of each sample during training.

    Parameters
    ----------
    cosines : Tensor, shape (N, C)
        Un-margined cosines to all classes.
    labels : Tensor of int64, shape (N,)
        Each sample's class.
    scale : float
        Multiplies the cosines (the head's scale; a smaller one is a higher temperature).

    Returns
    -------
    Tensor of float32, shape (N,)
        Softmax probability of the own class; carries no gradient.
    """
    if cosines.ndim != 2 or labels.shape != cosines.shape[:1]:
        raise ValueError(f"expected cosines (N, C) and labels (N,), got {tuple(cosines.shape)}, {tuple(labels.shape)}")
    with torch.no_grad(), torch.autocast(cosines.device.type, enabled=False):
        logits = cosines.detach().float() * scale
        own = logits.gather(1, labels[:, None])[:, 0]
        return torch.exp(own - torch.logsumexp(logits, dim=1))


def norm_loss(z: Tensor, p: Tensor, target: NormTarget) -> Tensor:
    """Return the norm loss of each sample, ``B (z - z*)^2 / z``.

    Parameters
    ----------
    z : Tensor, shape (N,)
        Lengths of the raw embeddings.
    p : Tensor, shape (N,)
        Recognizability of each; treated as a constant.

    Returns
    -------
    Tensor of float32, shape (N,)
        At least 0, and 0 where z is optimal.

    Raises
    ------
    ValueError
        If z and p are not both (N,). (One of them as (N, 1) would broadcast to (N, N) and pull all samples to one
        norm.)
    """
    if z.ndim != 1 or p.shape != z.shape:
        raise ValueError(f"z and p must both have shape (N,), got {tuple(z.shape)} and {tuple(p.shape)}")
    with torch.autocast(z.device.type, enabled=False):
        p = p.detach().float()
        _, b = coefficients(p, target)
        # The gradient goes as 1 / z^2: a vanishing embedding must not blow up the step.
        z = z.float().clamp_min(min(_SMALLEST_NORM, target.la / 2))
        return b * (z - optimal_norm(p, target)) ** 2 / z
