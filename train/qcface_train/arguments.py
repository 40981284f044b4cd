"""A training recipe: frozen dataclasses read from YAML; unknown keys and contradictions are errors."""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar


class RecipeError(ValueError):
    """A recipe that cannot be used: unknown key, wrong type or contradicting values."""


BACKBONES = ("edge", "iresnet18", "iresnet34", "iresnet50", "iresnet100", "mobilefacenet")
"""Networks of `qcface_train.backbone`."""

HEADS = ("softmax", "cosface", "arc", "magface", "adaface", "curricular", "mv")
"""Margins of `qcface_train.heads`."""

NORM_TERMS = ("qcface", "magface", "none")
"""Losses on the length, of `qcface_train.norm_terms`."""


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
class DataArguments:
    """Pictures and augmentation."""

    shards: tuple[str, ...] = ("train/*.tar.gz", "unlabelled/*.tar.gz")
    """Patterns below the data folder: tar shards, image folders (one folder an identity), or RecordIO files."""
    read: str = "cache"
    """How pictures are read: cache (decoded once into a memory-mapped file) or stream (decoded each time)."""
    window: int = 0
    """Shards that the order of an epoch stays within at a time; 0 mixes everything. For compressed or slow shards."""
    smallest_class: int = 1
    """Identities with fewer pictures are used without their label (with a teacher) or not at all."""
    drawn: int = 0
    """Drawn people (16 pictures each) to use instead of shards; for trying the training without photographs."""
    held_out: int = 120
    """Identities (of 4 to 40 pictures) kept out of training, for choosing."""
    seed: int = 1
    """Fixes split, order and augmentation."""
    damage_share: tuple[float, float] = (0.4, 0.65)
    """Share of damaged pictures in the identity phase and in the norm phase."""
    worst_damage: tuple[float, float] = (0.7, 1.0)
    """Largest strength of a damage, 0 to 1, in the identity phase and in the norm phase."""

    def __post_init__(self) -> None:
        """Reject shares outside 0 to 1."""
        for name in ("damage_share", "worst_damage"):
            values = getattr(self, name)
            if len(values) != 2 or not all(0 <= value <= 1 for value in values):
                raise RecipeError(f"data.{name}: expected two numbers from 0 to 1, got {values}")
        for name, least in (("held_out", 0), ("drawn", 0), ("window", 0), ("smallest_class", 1)):
            if getattr(self, name) < least:
                raise RecipeError(f"data.{name} must be at least {least}, got {getattr(self, name)}")
        if self.read not in ("cache", "stream"):
            raise RecipeError(f"data.read: expected cache or stream, got {self.read!r}")
        if self.read == "cache" and self.window:
            raise RecipeError("data.window is for data.read: stream; a cache is read in any order at no cost")
        if (self.drawn > 0) == (len(self.shards) > 0):
            raise RecipeError("data: give either shards or drawn (with shards: []), not both and not neither")


@dataclass(frozen=True, slots=True)
class LossArguments:
    """The terms of the loss and their constants."""

    head: str = "arc"
    """One of `HEADS`. QCFace is arc, curricular or mv with the norm term qcface."""
    norm: str = "qcface"
    """Loss on the length, one of `NORM_TERMS`."""
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
    """Teacher network to distil from (see qcface_train.teacher); empty for none."""
    distillation_weight: float = 10.0
    """Weight of 1 - cosine to the teacher; needs a teacher."""
    norm_weight: float = 0.02
    """Weight of the norm loss in the norm phase (lambda_g)."""
    norm_warmup: int = 100
    """Steps over which norm_weight rises from 0 after the switch."""
    p_scale: float = 64.0
    """Scale of the cosines in p; below `scale` it acts as a temperature that keeps p from saturating."""
    la: float = 1.0
    """Optimal norm at p = 0."""
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

    def _check_choices(self) -> None:
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
class RunArguments:
    """Optimiser, schedule and bookkeeping."""

    batch: int = 128
    """Pictures of a step."""
    steps: int = 5000
    """Steps of the whole run; a time budget given on the command line replaces it."""
    norm_phase: float = 0.3
    """Share of the steps at the end with the norm loss on; 0 for none."""
    lr: float = 3e-3
    """Peak learning rate of AdamW."""
    last_lr: float = 0.01
    """Last learning rate as a share of the peak (cosine schedule over both phases)."""
    warmup: int = 200
    """Steps of linear warm-up."""
    weight_decay: float = 0.05
    """Decay of matrices and kernels; batch norms and biases have none (it would fight ua)."""
    gain_lr: float = 10.0
    """Factor on the learning rate of the final batch norm's gain in the norm phase."""
    clip: float = 5.0
    """Largest gradient norm."""
    ema: float = 0.998
    """Decay of the running average of the weights, which is what is evaluated and exported."""
    threads: int = 2
    """Threads of PyTorch."""
    checkpoint_minutes: float = 5.0
    """Minutes between checkpoints."""
    evaluate_minutes: float = 10.0
    """Minutes between evaluations on the held-out identities."""

    def __post_init__(self) -> None:
        """Reject values that make no run."""
        if min(self.batch, self.steps, self.threads) < 1:
            raise RecipeError("run: batch, steps and threads must be at least 1")
        if not 0 <= self.norm_phase < 1:
            raise RecipeError(f"run.norm_phase must be at least 0 and below 1, got {self.norm_phase}")
        if not 0 < self.ema < 1:
            raise RecipeError(f"run.ema must lie inside (0, 1), got {self.ema}")


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
        if self.data.drawn and self.loss.teacher:
            raise RecipeError("recipe: drawn faces have no teacher; leave loss.teacher empty")
        if self.loss.norm != "qcface" and self.run.norm_phase > 0:
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
            If the file cannot be read or is not YAML, a key is unknown, or a value is of the wrong type or contradicts
            another.
        """
        import yaml

        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise RecipeError(f"recipe {path} cannot be read: {error}") from error
        return _build(cls, content or {}, "recipe")

    def digest(self) -> str:
        """Return a hash of all values, for the model card and for checkpoints."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


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
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        hint = "; write 3.0e-3, not 3e-3" if kind is float and isinstance(value, str) else ""
        raise RecipeError(f"{where} must be {kind.__name__}, got {value!r}{hint}")
    return value
