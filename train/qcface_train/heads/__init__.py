"""Classification heads: a classifier that gives cosines, and margins that turn cosines into logits.

QCFace is any margin of constant size (arc, curricular, mv) with the norm loss of `qcface_train.norm_terms` beside it.
"""

from __future__ import annotations

from collections.abc import Callable

from qcface_train.arguments import LossArguments
from qcface_train.heads.cosine import CosineHead, class_centres
from qcface_train.heads.hard_classes import CurricularFace, MvSoftmax
from qcface_train.heads.margins import AdaFace, ArcMargin, CosFace, MagFace, Margin, enlarge_angle

__all__ = [
    "AdaFace",
    "ArcMargin",
    "CosFace",
    "CosineHead",
    "CurricularFace",
    "MagFace",
    "Margin",
    "MvSoftmax",
    "build_margin",
    "class_centres",
    "enlarge_angle",
]

_MAKERS: dict[str, Callable[[LossArguments], Margin]] = {
    "softmax": lambda loss: Margin(loss.scale),
    "cosface": lambda loss: CosFace(loss.margin, loss.scale),
    "arc": lambda loss: ArcMargin(loss.margin, loss.scale, easy=loss.easy_margin),
    "magface": lambda loss: MagFace((loss.la, loss.ua), loss.magface_margins, loss.scale, easy=loss.easy_margin),
    "adaface": lambda loss: AdaFace(loss.margin, loss.adaface_h, scale=loss.scale),
    "curricular": lambda loss: CurricularFace(loss.margin, loss.scale, easy=loss.easy_margin),
    "mv": lambda loss: MvSoftmax(loss.margin, loss.scale, loss.mv_weight, easy=loss.easy_margin),
}


def build_margin(loss: LossArguments) -> Margin:
    """Return the margin that a recipe names."""
    return _MAKERS[loss.head](loss)
