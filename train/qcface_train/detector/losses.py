"""The three losses of dense distillation: score, box, points."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, smooth_l1_loss

from qcface_train.detector.distillation import POSITIVE


@dataclass(frozen=True, slots=True)
class LossWeights:
    """How much each part counts in the sum."""

    score: float = 1.0
    """Binary cross-entropy with the soft score."""
    box: float = 2.0
    """Generalised IoU."""
    points: float = 14.0
    """Distance relative to the face's size."""


@dataclass(frozen=True, slots=True)
class Losses:
    """Parts of one batch's loss, scalars."""

    score: Tensor
    box: Tensor
    points: Tensor

    def total(self, weights: LossWeights) -> Tensor:
        """Return the weighted sum."""
        return weights.score * self.score + weights.box * self.box + weights.points * self.points


def score_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with soft targets, weighted by the distance so that the many settled cells do not rule.

    The weighting follows quality focal loss [1]_ with exponent 1 and a small floor.

    References
    ----------
    .. [1] X. Li et al., Generalized Focal Loss, NeurIPS 2020, eq. 3.
    """
    weight = (logits.detach().sigmoid() - wanted).abs() + 0.02
    entropy = binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (weight * entropy).sum() / (wanted > POSITIVE).sum().clamp(min=1)


def box_loss(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Return 1 - generalised IoU of xyxy boxes (P, 4), one value a pair (P,)."""
    shared = (torch.minimum(boxes[:, 2:], wanted[:, 2:]) - torch.maximum(boxes[:, :2], wanted[:, :2])).clamp(min=0)
    hull = torch.maximum(boxes[:, 2:], wanted[:, 2:]) - torch.minimum(boxes[:, :2], wanted[:, :2])
    intersection, enclosing = shared.prod(dim=1), hull.prod(dim=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (wanted[:, 2:] - wanted[:, :2]).prod(dim=1) - intersection
    result: Tensor = 1 - intersection / union.clamp(min=1e-6) + (enclosing - union) / enclosing.clamp(min=1e-6)
    return result


def detector_losses(
    raw: Tensor, scores: Tensor, boxes: Tensor, points: Tensor, origin: Tensor, stride: Tensor
) -> Losses:
    """Compare raw maps with the targets.

    Parameters
    ----------
    raw : Tensor, shape (N, C, 15)
        From `Detector.raw`.
    scores, boxes, points : Tensor, shapes (N, C), (N, C, 4), (N, C, 10)
        Targets; boxes and points in pixels.
    origin, stride : Tensor, shapes (C, 2), (C,)
        The cells.

    Returns
    -------
    Losses
        Each a mean over positive cells, those of boxes and points weighted by the target score.
    """
    raw = raw.float()
    picture, cell = torch.nonzero(scores > POSITIVE, as_tuple=True)
    chosen, weight = raw[picture, cell], scores[picture, cell]
    total = weight.sum().clamp(min=1e-6)
    pitch, corner = stride[cell, None], origin[cell]
    centre = (corner + chosen[:, 1:3]) * pitch
    half = chosen[:, 3:5].clamp(max=6).exp() * pitch / 2
    wanted = boxes[picture, cell]
    box = (box_loss(torch.cat([centre - half, centre + half], dim=1), wanted) * weight).sum() / total
    size = (wanted[:, 2:] - wanted[:, :2]).clamp(min=1).prod(dim=1, keepdim=True).sqrt()
    found = (chosen[:, 5:] + corner.repeat(1, 5)) * pitch
    error = smooth_l1_loss(found / size, points[picture, cell] / size, reduction="none", beta=0.02).mean(dim=1)
    return Losses(score_loss(raw[..., 0], scores), box, (error * weight).sum() / total)
