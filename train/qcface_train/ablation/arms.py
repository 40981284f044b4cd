"""The losses that are compared: what each changes in a common recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from qcface_train.arguments import LATE_NORM_TERMS, LossArguments, Recipe, RecipeError

_MAGFACE_WEIGHT = 35.0

ARMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ArcFace": {"head": "arc", "norm": "none"},
        "MagFace": {"head": "magface", "norm": "magface", "la": 10.0, "ua": 110.0},
        "AdaFace": {"head": "adaface", "norm": "none", "margin": 0.4},
        "QCFace-Arc": {"head": "arc"},
        "QCFace-Cur": {"head": "curricular"},
        "QCFace-MV": {"head": "mv"},
        "softmax": {"head": "softmax", "norm": "none"},
        "CosFace": {"head": "cosface", "norm": "none", "margin": 0.35},
        "CurricularFace": {"head": "curricular", "norm": "none"},
        "MV-Softmax": {"head": "mv", "norm": "none"},
        "QCFace-Arc p64": {"head": "arc", "p_scale": 64.0},
        "QCFace-Arc p12": {"head": "arc", "p_scale": 12.0},
        "QCFace-Arc la10 ua60": {"head": "arc", "la": 10.0, "ua": 60.0},
        "QCFace-Arc la10 ua60 lambda200": {"head": "arc", "la": 10.0, "ua": 60.0, "norm_weight": 200.0},
        "QCFace-Arc lambda0.1": {"head": "arc", "norm_weight": 0.1},
        "QCFace-Arc lambda10": {"head": "arc", "norm_weight": 10.0},
        "QCFace-Arc without p": {"head": "arc", "norm": "constant"},
    }
)
"""What each arm changes in the loss; the recipe sets the rest.

p64, p12: scale of the cosines in p. lambda: weight of the norm loss beside an identity loss of weight 1. Without p: all
lengths are drawn half-way between la and ua.
"""

DEFAULT_ARMS = ("ArcFace", "MagFace", "AdaFace", "QCFace-Arc", "QCFace-Cur", "QCFace-MV")


def arm_recipe(base: Recipe, arm: str, seed: int) -> Recipe:
    """Return the recipe of one run.

    Raises
    ------
    RecipeError
        If the arm is unknown.
    """
    if arm not in ARMS:
        raise RecipeError(f"unknown arm {arm!r}; known: {', '.join(ARMS)}")
    changes = dict(ARMS[arm])
    if changes.get("norm") == "magface":
        changes["norm_weight"] = _MAGFACE_WEIGHT * base.loss.identity_weight
    elif "norm_weight" in changes:
        changes["norm_weight"] *= base.loss.identity_weight
    loss = dataclasses.replace(base.loss, **changes)
    phase = base.run.norm_phase if loss.norm in LATE_NORM_TERMS else 0.0
    return dataclasses.replace(
        base,
        loss=loss,
        run=dataclasses.replace(base.run, norm_phase=phase),
        data=dataclasses.replace(base.data, seed=seed),
    )


def warm_recipe(base: Recipe, steps: int) -> Recipe:
    """Return the recipe of the distillation that all arms begin from."""
    loss = LossArguments(teacher=base.loss.teacher, norm="none")
    run = dataclasses.replace(base.run, steps=steps, norm_phase=0.0)
    return dataclasses.replace(base, loss=loss, run=run, data=dataclasses.replace(base.data, smallest_class=1))
