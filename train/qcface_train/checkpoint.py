"""Checkpoints that survive a kill, a full disk and a change of mind: written beside, flushed, then renamed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or that belongs to another model."""


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write `content` so that `path` is at any moment either the old or the new whole file.

    Raises
    ------
    CheckpointError
        If the file cannot be written (disk full, read-only); the last good one is still there.
    """
    building = path.with_name(f"{path.name}.building")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with building.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        building.replace(path)
    except (OSError, RuntimeError) as error:
        building.unlink(missing_ok=True)
        raise CheckpointError(f"checkpoint {path} could not be written ({error}); the last good one is kept") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    CheckpointError
        If it is missing, truncated or foreign.
    """
    content = _read(path)
    if "model" not in content or "step" not in content:
        raise CheckpointError(f"{path} is not a checkpoint of this package")
    return content


def save_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a network's weights alone, to begin another run from: matrices in float16, everything else as it is.

    Raises
    ------
    CheckpointError
        If a matrix does not fit float16, or the file cannot be written.
    """
    halves = {name: tensor.half() if tensor.ndim > 1 else tensor.clone() for name, tensor in weights.items()}
    for name, tensor in halves.items():
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f"{name} holds values beyond float16 or not finite; these weights are of no use")
    save_checkpoint(path, {"weights": halves})


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a network's weights, in float32, from what `save_weights` wrote or from a checkpoint.

    Of a checkpoint it is the running average.

    Raises
    ------
    CheckpointError
        If it is missing, truncated or foreign.
    """
    content = _read(path)
    weights = content.get("weights", content.get("average"))
    if not isinstance(weights, dict):
        raise CheckpointError(f"{path} holds no weights; give the weights.pt or checkpoint.pt of a run")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def load_class_weights(path: Path) -> Tensor | None:
    """Return the class weights (C, D) of a checkpoint; None of a file without them. Raises as `load_weights`."""
    weight = (load_part(path, "head") or {}).get("weight")
    return weight if isinstance(weight, Tensor) else None


def load_part(path: Path, name: str) -> Any:
    """Return a part of a checkpoint; None of a file without it. Raises as `load_weights`."""
    return _read(path).get(name)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}; start a run first, or give another folder") from error
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({error}); it is damaged or not a checkpoint"
        ) from error
    return content if isinstance(content, dict) else {}
