"""The whole loss of a step: identity, distillation and norm term, with the figures to log."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qcface_train.arguments import LossArguments
from qcface_train.classifier import Classifier
from qcface_train.data import Batch
from qcface_train.norm_terms import NormTerm


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the objective says of a batch."""

    total: Tensor
    """The loss, with its gradient; averaged over the processes it is the loss of all."""
    figures: dict[str, Tensor]
    """Numbers to log, without gradient."""
    norms: Tensor
    """(B,) lengths, without gradient."""


class Objective(nn.Module):
    """Weighs the terms as a recipe says.

    Parameters
    ----------
    loss : LossArguments
        Weights.
    classifier : Classifier
        Holds the class weights.
    norm_term : NormTerm or None
        Loss on the lengths.
    """

    def __init__(self, loss: LossArguments, classifier: Classifier, norm_term: NormTerm | None) -> None:
        super().__init__()
        self.loss, self.classifier, self.norm_term = loss, classifier, norm_term

    def forward(self, embeddings: Tensor, batch: Batch, norm_steps: int) -> Verdict:
        """Judge raw embeddings (B, D).

        Parameters
        ----------
        norm_steps : int
            Steps since the norm phase began, this one included; 0 before it.
        """
        embeddings = embeddings.float()
        norms = embeddings.norm(dim=1)
        answer = self.classifier(embeddings, batch.classes)
        total = self.loss.identity_weight * answer.loss
        known = answer.known.clamp_min(1)
        world = self.classifier.world
        is_known = batch.classes >= 0
        figures = {"id": answer.loss.detach()}
        if self.loss.teacher:
            distillation = (1 - F.cosine_similarity(embeddings, batch.targets, dim=1)).mean()
            total = total + self.loss.distillation_weight * distillation
            figures["kd"] = distillation.detach()
        # Sums here, counts everywhere: processes may hold different numbers of labelled pictures.
        figures["p"] = answer.p.sum() / known * world.size
        weight = self._norm_weight(norm_steps)
        if self.norm_term is not None and weight > 0:
            quality = (self.norm_term(norms, answer.p) * is_known).sum() / known * world.size
            total = total + weight * quality
            figures["qc"] = quality.detach()
        figures["norm"] = norms.detach().mean()
        return Verdict(total, {"loss": total.detach()} | figures, norms.detach())

    def _norm_weight(self, norm_steps: int) -> float:
        if self.norm_term is None or (self.norm_term.late and norm_steps == 0):
            return 0.0
        rise = min(1.0, norm_steps / max(1, self.loss.norm_warmup)) if self.norm_term.late else 1.0
        return self.loss.norm_weight * rise


def mean_figures(verdicts: list[Verdict]) -> dict[str, Tensor]:
    """Return the mean of each figure over equal parts of a batch, and the extreme lengths."""
    figures = {
        name: torch.stack([verdict.figures[name] for verdict in verdicts]).mean() for name in verdicts[0].figures
    }
    norms = torch.cat([verdict.norms for verdict in verdicts])
    return figures | {"norm_min": norms.min(), "norm_max": norms.max()}
