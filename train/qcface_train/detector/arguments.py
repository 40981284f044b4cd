"""Settings of a detector training run, read from YAML; unknown keys are errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class DetectorArguments:
    """One run. Paths may be given on the command line instead."""

    data: str = ""
    """Folder with labels.jsonl and images."""
    teacher: str = ""
    """ONNX file of a detector with the same output layout."""
    output: str = "runs/detector"
    """Folder for the checkpoint and the log."""
    steps: int = 10_000
    """Length of the cosine schedule in optimiser steps."""
    batch: int = 16
    """Pictures of 320x320 a step; other sides use as many pictures as give about the same pixel count."""
    sides: tuple[int, ...] = (192, 256, 320, 320, 416)
    """Canvas sides, one drawn a step; multiples of 32."""
    learning_rate: float = 4e-3
    """Peak rate of AdamW."""
    weight_decay: float = 1e-4
    """Decoupled decay."""
    warmup: int = 200
    """Steps of linear warm-up."""
    average: float = 0.998
    """Decay of the weight average that is exported."""
    damage: float = 0.7
    """Share of pictures that the student sees damaged."""
    consensus: bool = True
    """Teach points that many scales of the teacher agree on; made once, then read from the output folder."""
    seed: int = 1
    """Each step's chance is drawn from (seed, step), so a resumed run repeats exactly."""
    threads: int = 1
    """CPU threads of torch and of the teacher."""
    bfloat16: bool = True
    """Autocast the convolutions to bfloat16."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    log_every: int = 50
    """Steps between log lines."""

    def __post_init__(self) -> None:
        """Reject contradictions."""
        if not self.sides or any(side <= 0 or side % 32 for side in self.sides):
            raise ValueError(f"sides must be positive multiples of 32, got {self.sides}; change 'sides'")
        for name in ("steps", "batch", "threads", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}; change '{name}'")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> DetectorArguments:
        """Build from keys and values.

        Raises
        ------
        ValueError
            If a key is unknown or a value contradicts another.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"unknown settings {unknown}; known ones are {sorted(known)}")
        settings = dict(values)
        if "sides" in settings:
            settings["sides"] = tuple(int(side) for side in settings["sides"])
        return cls(**settings)

    @classmethod
    def from_yaml(cls, path: Path) -> DetectorArguments:
        """Read a YAML mapping."""
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        if not isinstance(values, dict):
            raise TypeError(f"wanted a mapping of settings in {path}, got {type(values).__name__}")
        return cls.from_mapping(values)

    def changed(self, **values: object) -> DetectorArguments:
        """Return a copy with every value that is not None replaced."""
        return replace(self, **{key: value for key, value in values.items() if value is not None})  # type: ignore[arg-type]
