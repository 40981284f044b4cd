"""From the number of a step to a finished batch on the run's device: read ahead by threads, finished by the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qcface_train.batched_augmentation import BatchAugmentation
from qcface_train.data import Batch, BatchMaker
from qcface_train.run_arguments import DataArguments


class OnlineTeacher(Protocol):
    """Embeds the very pictures that the student sees."""

    def embed(self, images: Tensor) -> Tensor:
        """Map network inputs (B, 3, 112, 112) to unit targets (B, D) on the same device."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What threads prepare of a batch."""

    step: int
    """Number of the step."""
    images: Tensor
    """Changed network inputs (B, 3, 112, 112), or untouched pixels (B, 112, 112, 3), or rows (B,) of resident ones."""
    classes: Tensor
    """(B,)."""
    targets: Tensor
    """(B, D), of the clean pictures."""
    damage_share: float
    """As `augment` takes it."""
    worst: float
    """Likewise."""


class Feeder:
    """Makes the batches of one process.

    Parameters
    ----------
    batches : BatchMaker
        Reads pictures.
    data : DataArguments
        Strength and place of the augmentation.
    in_norm_phase : callable
        Whether a step lies in the norm phase.
    device : torch.device
        Where batches are wanted.
    teacher : OnlineTeacher, optional
        Embeds the changed pictures; its answers replace the stored ones.
    """

    def __init__(
        self,
        batches: BatchMaker,
        data: DataArguments,
        in_norm_phase: Callable[[int], bool],
        device: torch.device,
        teacher: OnlineTeacher | None = None,
    ) -> None:
        self.batches, self.data, self.device, self.teacher = batches, data, device, teacher
        self._in_norm_phase = in_norm_phase
        self._augmentation = BatchAugmentation(batches.seed, batches.size, batches.part)
        self._pixels: Tensor | None = None
        if data.resident:
            self._pixels = torch.as_tensor(batches.faces.images[:], device=device)

    def prepare(self, step: int) -> Prepared:
        """Do what needs no device; safe to call from several threads."""
        phase = int(self._in_norm_phase(step))
        damage_share, worst = self.data.damage_share[phase], self.data.worst_damage[phase]
        if self.data.augmentation == "picture":
            batch = self.batches.make(step, damage_share, worst)
            return Prepared(step, batch.images, batch.classes, batch.targets, damage_share, worst)
        if self._pixels is not None:
            rows = self.batches.rows(step)
            images = torch.from_numpy(rows)
        else:
            pictures, rows = self.batches.read(step)
            images = torch.from_numpy(pictures)
        return Prepared(step, self._pinned(images), *self.batches.answers(rows), damage_share, worst)

    def finish(self, prepared: Prepared) -> Batch:
        """Bring a batch to the device and finish it there."""
        images, classes, targets = (
            part.to(self.device, non_blocking=True) for part in (prepared.images, prepared.classes, prepared.targets)
        )
        if self.data.augmentation == "batch":
            if self._pixels is not None:
                images = self._pixels[images]
            images = self._augmentation(images, prepared.step, prepared.damage_share, prepared.worst)
        if self.teacher is not None:
            targets = self.teacher.embed(images)
        return Batch(images, classes, targets)

    def make(self, step: int) -> Batch:
        """Return a finished batch."""
        return self.finish(self.prepare(step))

    def _pinned(self, images: Tensor) -> Tensor:
        return images.pin_memory() if self.device.type == "cuda" else images
