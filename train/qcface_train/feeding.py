"""From the number of a step to a finished batch on the run's device: read ahead by threads, finished by the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from qcface_train.batched_augmentation import BatchAugmentation
from qcface_train.data import Batch, BatchMaker
from qcface_train.mixing import Sources, blend_pictures
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
    """Changed network inputs (B, 3, 112, 112), or untouched pixels (B, 112, 112, 3); empty if pixels are resident."""
    classes: Tensor
    """(B,)."""
    targets: Tensor
    """(B, D), of the clean pictures."""
    damage_share: float
    """As `augment` takes it."""
    worst: float
    """Likewise."""
    resident: Sources | None = None
    """Which of the resident pixels to take."""


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
            sources = self.batches.sources(step)
            nothing = torch.empty(0)
            return Prepared(step, nothing, *self.batches.answers(sources), damage_share, worst, sources)
        pictures, sources = self.batches.read(step)
        images = self._pinned(torch.from_numpy(pictures))
        return Prepared(step, images, *self.batches.answers(sources), damage_share, worst)

    def finish(self, prepared: Prepared) -> Batch:
        """Bring a batch to the device and finish it there."""
        images, classes, targets = (
            part.to(self.device, non_blocking=True) for part in (prepared.images, prepared.classes, prepared.targets)
        )
        if self.data.augmentation == "batch":
            if prepared.resident is not None:
                images = self._resident(prepared.resident)
            images = self._augmentation(images, prepared.step, prepared.damage_share, prepared.worst)
        if self.teacher is not None:
            targets = self.teacher.embed(images)
        return Batch(images, classes, targets)

    def make(self, step: int) -> Batch:
        """Return a finished batch."""
        return self.finish(self.prepare(step))

    def _resident(self, sources: Sources) -> Tensor:
        assert self._pixels is not None
        images = self._pixels[torch.from_numpy(sources.rows).to(self.device)]
        mixed = torch.from_numpy(sources.mixed).to(self.device)
        if len(mixed):
            others = self._pixels[torch.from_numpy(sources.partners[sources.mixed]).to(self.device)]
            images[mixed] = blend_pictures(images[mixed], others, torch.from_numpy(sources.shares[sources.mixed]))
        return images

    def _pinned(self, images: Tensor) -> Tensor:
        return images.pin_memory() if self.device.type == "cuda" else images
