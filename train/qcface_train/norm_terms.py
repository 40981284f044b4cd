"""The loss terms on the length of an embedding that a recipe can choose: QCFace's, a constant, MagFace's or none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qcface_train.arguments import LossArguments
from qcface_train.recognizability import NormTarget, norm_loss


class NormTerm(Protocol):
    """A loss on lengths."""

    @property
    def late(self) -> bool:
        """Whether it belongs to the norm phase; else it is on from the first step."""
        ...

    def __call__(self, norms: Tensor, p: Tensor) -> Tensor:
        """Return each sample's loss from the lengths of the raw embeddings and the recognizabilities; all (N,)."""
        ...


@dataclass(frozen=True, slots=True)
class QCFaceNorm:
    """QCFace: each length is drawn to the optimum of its own recognizability."""

    target: NormTarget
    """The optimum's constants."""
    late: bool = True
    """Directions come first: a recognizability of untrained directions means nothing."""

    def __call__(self, norms: Tensor, p: Tensor) -> Tensor:
        """Return ``B (z - z*(p))^2 / z``; (N,)."""
        return norm_loss(norms, p, self.target)


@dataclass(frozen=True, slots=True)
class ConstantNorm:
    """QCFace's loss without its guidance: all lengths are drawn half-way. The control of an ablation."""

    target: NormTarget
    """The optimum's constants."""
    late: bool = True
    """As QCFace's own."""

    def __call__(self, norms: Tensor, p: Tensor) -> Tensor:
        """Return ``B (z - z*)^2 / z`` with z* half-way, whatever p is; (N,)."""
        return norm_loss(norms, torch.full_like(p, self.target.anchor_p), self.target)


@dataclass(frozen=True, slots=True)
class MagFaceNorm:
    """MagFace: every length is drawn upwards, against its own growing margin (Meng et al., CVPR 2021, eq. 8)."""

    la: float = 10.0
    """Lengths below count as this one and get no gradient."""
    ua: float = 110.0
    """Lengths above likewise; the optimum."""
    late: bool = False
    """Margin and term hold each other in balance, so both are on all along."""

    def __call__(self, norms: Tensor, p: Tensor) -> Tensor:
        """Return ``1 / a + a / ua^2`` of the clamped length a; (N,)."""
        with torch.autocast(norms.device.type, enabled=False):
            a = norms.float().clamp(self.la, self.ua)
            return 1 / a + a / self.ua**2


def build_norm_term(loss: LossArguments) -> NormTerm | None:
    """Return the term that a recipe names; None for none."""
    if loss.norm == "qcface":
        return QCFaceNorm(NormTarget(loss.la, loss.ua, loss.anchor_p))
    if loss.norm == "constant":
        return ConstantNorm(NormTarget(loss.la, loss.ua, loss.anchor_p))
    if loss.norm == "magface":
        return MagFaceNorm(loss.la, loss.ua)
    return None
