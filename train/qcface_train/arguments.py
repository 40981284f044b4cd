"""A training recipe: frozen dataclasses read from YAML; unknown keys and contradictions are errors."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from qcface_train.run_arguments import DataArguments, RecipeError, RunArguments

__all__ = ["DataArguments", "LossArguments", "ModelArguments", "Recipe", "RecipeError", "RunArguments"]

BACKBONES = ("edge", "iresnet18", "iresnet34", "iresnet50", "iresnet100", "mobilefacenet")
"""Networks of `qcface_train.backbone`."""

HEADS = ("softmax", "cosface", "arc", "magface", "adaface", "curricular", "mv")
"""Margins of `qcface_train.heads`."""

NORM_TERMS = ("qcface", "constant", "magface", "none")
"""Losses on the length, of `qcface_train.norm_terms`."""

LATE_NORM_TERMS = ("qcface", "constant")
"""Those that belong to the norm phase."""


@dataclass(frozen=True, slots=True)
class ModelArguments:
    """The backbone."""

    name: str = "edge"
    """One of `BACKBONES`."""
    widths: tuple[int, ...] = (32, 32, 64, 128, 256)
    """Channels of the stem and the four stages; of the edge network only, as are blocks and neck."""
    blocks: tuple[int, ...] = (1, 2, 4, 2)
    """Residual blocks of each stage."""
    neck: int = 512
    """Channels before the 7x7 depthwise convolution."""
    dropout: float = 0.0
    """Share of the last feature map's numbers dropped in training; of the IResNets only (the paper has 0.4)."""

    def __post_init__(self) -> None:
        """Reject shapes that make no network, and shapes of one network given to another."""
        if self.name not in BACKBONES:
            raise RecipeError(f"model.name: expected one of {', '.join(BACKBONES)}, got {self.name!r}")
        if self.name != "edge":
            for key in ("widths", "blocks", "neck"):
                if getattr(self, key) != ModelArguments.__dataclass_fields__[key].default:
                    raise RecipeError(f"model.{key} is of the edge network; {self.name} has its own, leave it out")
        if not 0 <= self.dropout < 1 or (self.dropout and not self.name.startswith("iresnet")):
            raise RecipeError(f"model.dropout: expected 0 to below 1, and 0 without an IResNet, got {self.dropout}")
        if len(self.widths) != 5 or len(self.blocks) != 4 or min(*self.widths, *self.blocks, self.neck) < 1:
            raise RecipeError("model: expected 5 widths and 4 block counts, all at least 1; see configs/edge.yaml")

    @classmethod
    def from_checkpoint(cls, architecture: Any) -> ModelArguments:
        """Read what a checkpoint says of its network: our fields, or the widths, blocks and neck of early ones.

        Raises
        ------
        RecipeError
            If it says something else.
        """
        if isinstance(architecture, list) and len(architecture) == 3:
            architecture = dict(zip(("widths", "blocks", "neck"), architecture, strict=True))
        if isinstance(architecture, Mapping):
            architecture = {k: list(v) if isinstance(v, tuple) else v for k, v in architecture.items()}
        return _build(cls, architecture, "architecture")


@dataclass(frozen=True, slots=True)
class LossArguments:
    """The terms of the loss and their constants."""

    head: str = "arc"
    """One of `HEADS`. QCFace is arc, curricular or mv with the norm term qcface."""
    norm: str = "qcface"
    """Loss on the length, one of `NORM_TERMS`; constant is qcface with one length for all, to compare with."""
    margin: float = 0.5
    """Margin on the own class: radians, for cosface a cosine; magface has `magface_margins` instead."""
    easy_margin: bool = False
    """Drop the margin beyond 90 degrees, as published with MagFace, MV-Softmax and QCFace; it makes a jump there."""
    magface_margins: tuple[float, ...] = (0.45, 0.8)
    """Margins of magface at the lengths la and ua, radians."""
    adaface_h: float = 0.333
    """How much a length's deviation from the mean counts in adaface."""
    mv_weight: float = 1.12
    """Weight t of hard classes in mv."""
    scale: float = 64.0
    """Scale of the cosine logits."""
    identity_weight: float = 0.02
    """Weight of the identity loss."""
    teacher: str = ""
    """Teacher networks to distil from (see qcface_train.teacher), several joined by +; empty for none."""
    teacher_sees: str = "clean"
    """clean (targets of the clean pictures, computed once and stored) or augmented (what the student sees)."""
    distillation_weight: float = 10.0
    """Weight of 1 - cosine to the teacher; needs a teacher."""
    norm_weight: float = 0.02
    """Weight of the norm loss in the norm phase (lambda_g)."""
    norm_warmup: int = 100
    """Steps over which norm_weight rises from 0 after the switch."""
    p_scale: float = 64.0
    """Scale of the cosines in p; below `scale` it acts as a temperature that keeps p from saturating."""
    la: float = 1.0
    """Optimal norm at p = 0. The norm loss weakens as its square: raise `norm_weight` with it (train/ABLATION.md)."""
    ua: float = 100.0
    """Optimal norm at p = 1; magface's limits, too (it is published with la 10 and ua 110)."""
    anchor_p: float = 0.5
    """Recognizability at which the optimal norm is half-way between la and ua."""

    def __post_init__(self) -> None:
        """Reject contradictions."""
        self._check_choices()
        if not self.teacher and self.identity_weight == 0:
            raise RecipeError("loss: without a teacher identity_weight must be above 0; nothing else trains directions")
        if min(self.identity_weight, self.distillation_weight, self.norm_weight) < 0:
            raise RecipeError("loss: weights must be at least 0")
        if not 0 < self.la < self.ua:
            raise RecipeError(f"loss: expected 0 < la < ua, got la={self.la}, ua={self.ua}")
        if not 0 < self.anchor_p < 1:
            raise RecipeError(f"loss.anchor_p must lie inside (0, 1), got {self.anchor_p}")
        if min(self.scale, self.p_scale) <= 0:
            raise RecipeError(f"loss: scale and p_scale must be above 0, got {self.scale} and {self.p_scale}")

    @property
    def teachers(self) -> tuple[str, ...]:
        """Names of the teacher networks."""
        return tuple(name.strip() for name in self.teacher.split("+") if name.strip())

    def _check_choices(self) -> None:
        if self.teacher_sees not in ("clean", "augmented"):
            raise RecipeError(f"loss.teacher_sees: expected clean or augmented, got {self.teacher_sees!r}")
        if self.teacher_sees == "augmented" and not self.teacher:
            raise RecipeError("loss.teacher_sees is about a teacher; name one in loss.teacher")
        for key, known in (("head", HEADS), ("norm", NORM_TERMS)):
            if getattr(self, key) not in known:
                raise RecipeError(f"loss.{key}: expected one of {', '.join(known)}, got {getattr(self, key)!r}")
        if self.head == "magface" and self.norm != "magface":
            raise RecipeError(
                "loss: head magface needs norm magface; its margin pushes every length down to la if nothing pulls up"
            )
        margins = self.magface_margins
        if len(margins) != 2 or not 0 < margins[0] < margins[1] < 1.5:
            raise RecipeError(f"loss.magface_margins: expected two rising numbers from 0 to 1.5, got {margins}")
        if not 0 <= self.margin < 1.5:
            raise RecipeError(f"loss.margin must be at least 0 and below 1.5, got {self.margin}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole recipe."""

    model: ModelArguments = field(default_factory=ModelArguments)
    """The backbone."""
    data: DataArguments = field(default_factory=DataArguments)
    """Pictures and augmentation."""
    loss: LossArguments = field(default_factory=LossArguments)
    """The terms of the loss."""
    run: RunArguments = field(default_factory=RunArguments)
    """Optimiser and schedule."""

    def __post_init__(self) -> None:
        """Reject contradictions between parts."""
        if self.loss.teacher and self.loss.teacher_sees == "clean" and self.data.read == "stream":
            raise RecipeError("recipe: stored targets need data.read: cache; or set loss.teacher_sees: augmented")
        if self.data.mixed_share and not self.loss.teacher:
            raise RecipeError("recipe: data.mixed_share is for distillation; name a teacher in loss.teacher")
        if self.data.blends and not self.loss.teacher:
            raise RecipeError("recipe: data.blends are for distillation; name a teacher in loss.teacher")
        if self.data.blends and self.data.read == "stream":
            raise RecipeError("recipe: data.blends are made of pictures in any order; they need data.read: cache")
        if self.data.drawn and self.loss.teacher:
            raise RecipeError("recipe: drawn faces have no teacher; leave loss.teacher empty")
        if self.loss.norm not in LATE_NORM_TERMS and self.run.norm_phase > 0:
            raise RecipeError(
                f"recipe: loss.norm {self.loss.norm} has no norm phase; set run.norm_phase to 0, "
                f"got {self.run.norm_phase}"
            )

    @classmethod
    def from_yaml(cls, path: Path) -> Recipe:
        """Read a recipe.

        Raises
        ------
        RecipeError
            If the file cannot be read or is not YAML, a key is unknown or there twice, or a value is of the wrong type
            or contradicts another.
        """
        import yaml

        try:
            text = path.read_text()
            content, repeated = yaml.safe_load(text), _repeated_key(yaml.compose(text, yaml.SafeLoader))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise RecipeError(f"recipe {path} cannot be read: {error}") from error
        if repeated:
            raise RecipeError(f"recipe {path} says {repeated} twice; YAML would take the last one without a word")
        return _build(cls, content or {}, "recipe")

    def digest(self) -> str:
        """Return a hash of all values, for the model card and for checkpoints.

        A key that came after recipes were published is left out of `repr` and counts only where it is set, so that
        those recipes keep their hash.
        """
        later = [
            f"{key.name}={getattr(part, key.name)!r}"
            for part in (self.model, self.data, self.loss, self.run)
            for key in dataclasses.fields(part)
            if not key.repr and getattr(part, key.name) != key.default
        ]
        return hashlib.sha256("".join([repr(self), *later]).encode()).hexdigest()[:16]


def _repeated_key(node: Any) -> str:
    """Return a key that a YAML mapping holds twice, at any depth; empty if there is none."""
    if not isinstance(getattr(node, "value", None), list):
        return ""
    children = node.value
    if children and isinstance(children[0], tuple):
        names = [str(key.value) for key, _ in children]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            return twice[0]
        children = [value for _, value in children]
    return next(filter(None, map(_repeated_key, children)), "")


_T = TypeVar("_T")


def _build(kind: type[_T], content: Any, where: str) -> _T:
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where} must be a mapping of keys to values, got {type(content).__name__}")
    types = typing.get_type_hints(kind)
    unknown = sorted(set(content) - set(types))
    if unknown:
        raise RecipeError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(types)}")
    values = {key: _convert(types[key], value, f"{where}.{key}") for key, value in content.items()}
    return kind(**values)


def _convert(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(typing.cast(Any, kind), value, where)
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise RecipeError(f"{where} must be a list, got {value!r}")
        return tuple(_convert(typing.get_args(kind)[0], item, where) for item in value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        hint = "; write 3.0e-3, not 3e-3" if kind is float and isinstance(value, str) else ""
        raise RecipeError(f"{where} must be {kind.__name__}, got {value!r}{hint}")
    if kind is float and not math.isfinite(value):
        raise RecipeError(f"{where} must be a finite number, got {value}")
    return value
