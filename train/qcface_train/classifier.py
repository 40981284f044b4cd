"""The classifier of a run, spread over its processes by class, so that millions of identities fit.

Each process holds some classes' weights and sees the embeddings of all. What the softmax needs of the other processes
is three numbers a sample: the largest logit, the sum of exponentials, and the own logit. The loss, the gradients and
the recognizability are those of one process with all classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qcface_train.distributed import World
from qcface_train.heads import CosineHead, Margin


@dataclass(frozen=True, slots=True)
class Answer:
    """What the classifier says of a batch."""

    loss: Tensor
    """Mean cross-entropy over the labelled samples of all processes; 0 if there is none."""
    p: Tensor
    """(B,) recognizability of this process's samples, without gradient; 0 where there is no class."""
    known: Tensor
    """Number of labelled samples in all processes."""


class Classifier(nn.Module):
    """Cosine classifier with a margin.

    Parameters
    ----------
    classes, size : int
        Classes of the whole run, and numbers of an embedding.
    margin : Margin
        From cosines to logits.
    p_scale : float
        Scale of the cosines in the recognizability p.
    world : World
        The processes; this one holds ``world.class_part(classes)``.
    all_known : bool
        Whether every sample has a class; saves looking.
    """

    def __init__(
        self, classes: int, size: int, margin: Margin, p_scale: float, world: World, *, all_known: bool = False
    ) -> None:
        super().__init__()
        self.classes, self.p_scale, self.world, self.all_known = classes, p_scale, world, all_known
        self.part = world.class_part(classes)
        whole = CosineHead(classes, size)
        # All processes draw the same weights and keep their part, so that their number changes nothing.
        whole.weight = nn.Parameter(whole.weight.detach()[self.part.start : self.part.stop].clone())
        self.head = whole
        self.margin = margin

    def start_from(self, centres: Tensor) -> None:
        """Set the class weights to given directions (C, D) of all classes."""
        self.head.start_from(centres[self.part.start : self.part.stop])

    def forward(self, embeddings: Tensor, classes: Tensor) -> Answer:
        """Judge this process's raw embeddings (B, D), whose classes (B,) are below 0 where there is none."""
        count = len(embeddings)
        rows = self.world.gather_with_gradient(embeddings.float())
        everyone = self.world.gather(classes)
        known = torch.arange(len(rows), device=rows.device) if self.all_known else torch.nonzero(everyone >= 0)[:, 0]
        p = torch.zeros(len(rows), device=rows.device)
        if not len(known):
            return Answer(rows.sum() * 0, p[:count], known.new_tensor(0))
        rows, own_class = rows[known], everyone[known]
        cosines = self.head(rows)  # (K, C')
        columns = own_class - self.part.start
        columns = torch.where((columns >= 0) & (columns < len(self.part)), columns, -1)
        own = self._own(cosines, columns)
        logits = self.margin.shift(cosines, own, columns, rows.norm(dim=1))
        loss = shared_cross_entropy(logits, columns, self.world).mean()
        p[known] = shared_probability(cosines.detach() * self.p_scale, columns, self.world)
        start = self.world.rank * count
        return Answer(loss, p[start : start + count], known.new_tensor(len(known)))

    def _own(self, cosines: Tensor, columns: Tensor) -> Tensor:
        """Return the own cosines (K,), with gradient where the class lies here."""
        here = columns >= 0
        mine = torch.where(here, cosines.gather(1, columns.clamp_min(0)[:, None])[:, 0], 0)
        if self.world.size == 1:
            return mine
        return torch.where(here, mine, self.world.sum(mine))

    def whole_weight(self) -> Tensor:
        """Return the weights of all classes on the CPU of the first process; all processes must call it."""
        return self.world.joined_classes(self.head.weight, self.classes)


def shared_cross_entropy(logits: Tensor, columns: Tensor, world: World) -> Tensor:
    """Return each sample's cross-entropy, (N,), over the classes of all processes.

    Parameters
    ----------
    logits : Tensor, shape (N, C')
        To this process's classes.
    columns : Tensor of int64, shape (N,)
        Column of the own class; -1 where another process has it.
    """
    loss: Tensor = _CrossEntropy.apply(logits.float(), columns, world)  # type: ignore[no-untyped-call]
    return loss


@torch.no_grad()
def shared_probability(logits: Tensor, columns: Tensor, world: World) -> Tensor:
    """Return the softmax probability of each sample's own class, (N,), over the classes of all processes."""
    log_sum, own, _, _ = _shared_softmax(logits.float(), columns, world)
    return torch.exp(own - log_sum)


def _shared_softmax(logits: Tensor, columns: Tensor, world: World) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return log-sum-exp and own logit over all processes, and this one's exponentials and their shared sum."""
    largest = world.max(logits.max(dim=1).values)
    exponentials = torch.exp(logits - largest[:, None])
    total = world.sum(exponentials.sum(dim=1))
    own = torch.where(columns >= 0, logits.gather(1, columns.clamp_min(0)[:, None])[:, 0], 0)
    return torch.log(total) + largest, world.sum(own), exponentials, total


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, columns: Tensor, world: World) -> Tensor:
        log_sum, own, exponentials, total = _shared_softmax(logits, columns, world)
        ctx.save_for_backward(exponentials.div_(total[:, None]), columns)
        return log_sum - own

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = gradients
        probabilities, columns = ctx.saved_tensors
        result = probabilities * gradient[:, None]
        here = torch.where(columns >= 0, gradient, 0)
        result.scatter_add_(1, columns.clamp_min(0)[:, None], -here[:, None])
        return result, None, None
