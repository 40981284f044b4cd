"""Computing in half the bits: autocast, and the loss scale that float16 needs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Number formats of the backbone's forward pass, by name; weights and losses are float32 in all of them."""


class Precision:
    """Autocast in one format; in float16 with a scale that keeps small gradients from vanishing.

    The scale doubles after `patience` good steps and halves after one whose gradients overflowed, which is then
    skipped. Whether they did is told by the caller, so that all processes of a run decide alike.
    """

    def __init__(self, name: str, device: torch.device, patience: int = 2000) -> None:
        self.name, self.device, self.patience = name, device, patience
        self.scale = 65536.0 if name == "fp16" else 1.0
        self._good = 0

    @property
    def memory_format(self) -> torch.memory_format:
        """Order of the numbers of a feature map that is fastest, and safe.

        In float32 on a CPU oneDNN writes beyond its memory in the backward pass of a 1x1 convolution with stride 2 and
        few channels, if channels come last (seen with PyTorch 2.13).
        """
        if self.device.type == "cpu" and self.name == "fp32":
            return torch.contiguous_format
        return torch.channels_last

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for the forward pass."""
        kind = PRECISIONS[self.name]
        return torch.autocast(self.device.type, kind, enabled=kind != torch.float32)

    @torch.no_grad()
    def unscale(self, parameters: Iterable[Tensor]) -> None:
        """Divide the gradients by the scale."""
        if self.scale != 1.0:
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            torch._foreach_mul_(gradients, 1 / self.scale)

    def take_step(self, gradient_norm: float) -> bool:
        """Return whether the step may be taken, and adapt the scale."""
        if self.name != "fp16":
            return True
        if not math.isfinite(gradient_norm):
            self.scale, self._good = max(1.0, self.scale / 2), 0
            return False
        self._good += 1
        if self._good >= self.patience:
            self.scale, self._good = self.scale * 2, 0
        return True

    @property
    def may_overflow(self) -> bool:
        """Whether gradients that are not finite are a matter of the scale, which can still be halved."""
        return self.name == "fp16" and self.scale > 1.0

    def state(self) -> list[float]:
        """Return what a resume needs."""
        return [self.scale, float(self._good)]

    def resume(self, state: list[float]) -> None:
        """Go on from what `state` gave; a run that computed in another format leaves no scale to go on with."""
        if self.name == "fp16" and state[0] > 1.0:
            self.scale, self._good = float(state[0]), int(state[1])
