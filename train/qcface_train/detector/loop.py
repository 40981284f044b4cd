"""The training loop: resumable, deterministic by step, with an averaged copy of the weights."""

from __future__ import annotations

import copy
import logging
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from qcface_train.detector.arguments import DetectorArguments
from qcface_train.detector.augmentation import PhotoPool, Sample, compose, damage
from qcface_train.detector.consensus import with_consensus
from qcface_train.detector.data import Photo, read_photos
from qcface_train.detector.distillation import Targets, Teacher, targets_from_teacher
from qcface_train.detector.layout import CellGrid
from qcface_train.detector.losses import Losses, LossWeights, detector_losses
from qcface_train.detector.network import Detector

LOG = logging.getLogger("qcface_train.detector")
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's pictures and targets."""

    pictures: Tensor
    """(N, 3, S, S) float32 BGR 0..255."""
    scores: Tensor
    boxes: Tensor
    points: Tensor
    origin: Tensor
    stride: Tensor


def draw_batch(arguments: DetectorArguments, pool: PhotoPool, teacher: Teacher, step: int) -> Batch:
    """Compose the pictures of one step and ask the teacher; the same step gives the same batch."""
    rng = np.random.default_rng((arguments.seed, step))
    side = int(rng.choice(arguments.sides))
    count = max(1, round(arguments.batch * (320 / side) ** 2))
    samples = [compose(pool, side, rng) for _ in range(count)]
    grid = CellGrid.of_size(side, side)
    targets = [_ask(teacher, sample, grid) for sample in samples]
    seen = [
        damage(sample.picture, _typical_face(sample), rng) if rng.random() < arguments.damage else sample.picture
        for sample in samples
    ]
    pictures = torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2).float()  # NHWC -> NCHW, channels last
    return Batch(
        pictures,
        torch.from_numpy(np.stack([target.scores for target in targets])),
        torch.from_numpy(np.stack([target.boxes for target in targets])),
        torch.from_numpy(np.stack([target.points for target in targets])),
        torch.from_numpy(grid.origin),
        torch.from_numpy(grid.stride),
    )


def _ask(teacher: Teacher, sample: Sample, grid: CellGrid) -> Targets:
    picture = np.ascontiguousarray(sample.picture.transpose(2, 0, 1)[None], dtype=np.float32)
    return targets_from_teacher(teacher.maps(picture), sample, grid)


def _typical_face(sample: Sample) -> float:
    """Lower quartile of the face sides, so that blur spares the small ones of a mosaic."""
    if not len(sample.boxes):
        return 40.0
    return float(np.percentile((sample.boxes[:, 2:] - sample.boxes[:, :2]).min(axis=1), 25))


class DetectorTraining:
    """Owns the network, its average, the optimiser and the step counter of one run. Not thread-safe.

    Parameters
    ----------
    arguments : DetectorArguments
        Settings.
    photos : list of Photo
        Training photos.
    teacher : Teacher
        Source of the dense targets.
    """

    def __init__(self, arguments: DetectorArguments, photos: list[Photo], teacher: Teacher) -> None:
        torch.manual_seed(arguments.seed)
        self.arguments = arguments
        self.step = 0
        self.network = Detector().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self._pool = PhotoPool.from_photos(photos)
        self._teacher = teacher
        self._weights = LossWeights()
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(self.network, arguments.weight_decay), lr=arguments.learning_rate, betas=(0.9, 0.99)
        )

    @classmethod
    def from_arguments(cls, arguments: DetectorArguments) -> DetectorTraining:
        """Read the photos, open the teacher and continue from the output folder's checkpoint if there is one."""
        folder = Path(arguments.output)
        photos = read_photos(Path(arguments.data), "train")
        teacher = Teacher(Path(arguments.teacher), arguments.threads)
        if arguments.consensus:
            photos = with_consensus(teacher, photos, folder / "points.npz")
        training = cls(arguments, photos, teacher)
        if training.resume(folder):
            LOG.info("resumed at step %d", training.step)
        return training

    def run(self, until: int | None = None) -> None:
        """Train to step `until`, or to the end of the schedule, writing checkpoints."""
        last = self.arguments.steps if until is None else min(until, self.arguments.steps)
        started, sums = time.monotonic(), np.zeros(3)
        while self.step < last:
            losses = self.train_step()
            sums += [float(losses.score), float(losses.box), float(losses.points)]
            if self.step % self.arguments.log_every == 0:
                score, box, points = sums / self.arguments.log_every
                rate = self.arguments.log_every / (time.monotonic() - started)
                LOG.info("step %d score %.4f box %.4f points %.4f %.2f steps/s", self.step, score, box, points, rate)
                started, sums = time.monotonic(), np.zeros(3)
            if self.step % self.arguments.checkpoint_every == 0 or self.step == last:
                self.save(Path(self.arguments.output))

    def train_step(self) -> Losses:
        """Do one optimiser step."""
        arguments = self.arguments
        batch = draw_batch(arguments, self._pool, self._teacher, self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = arguments.learning_rate * rate_factor(self.step, arguments.steps, arguments.warmup)
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bfloat16):
            raw = self.network.raw(batch.pictures)
        losses = detector_losses(raw, batch.scores, batch.boxes, batch.points, batch.origin, batch.stride)
        self._optimizer.zero_grad(set_to_none=True)
        losses.total(self._weights).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 10.0)
        self._optimizer.step()
        self.step += 1
        self._update_average()
        return Losses(losses.score.detach(), losses.box.detach(), losses.points.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        # Short memory at the start: the first weights are noise.
        decay = min(self.arguments.average, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

    def save(self, folder: Path) -> None:
        """Write the checkpoint atomically: a killed run leaves the former one whole."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        scratch = folder / (CHECKPOINT + ".new")
        with scratch.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(folder / CHECKPOINT)

    def resume(self, folder: Path) -> bool:
        """Continue from the folder's checkpoint if there is one; say whether there was."""
        path = folder / CHECKPOINT
        if not path.is_file():
            return False
        state = torch.load(path, weights_only=True)
        self.step = int(state["step"])
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        return True


def rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then half a cosine down to 1 %."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


def _parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Decay the convolution kernels only."""
    kernels = [value for value in network.parameters() if value.ndim > 1]
    others = [value for value in network.parameters() if value.ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
