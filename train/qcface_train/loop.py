"""The training loop: one process, two phases in one run, exact resume.

A step is a pure function of the recipe, the step's number, the planned number of steps and the state that a checkpoint
holds; a run that was killed and resumed gives the loss curve of one that was not. A time budget only moves the planned
number of steps, and every change is written down in checkpoint and log.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qcface_train.arguments import Recipe
from qcface_train.backbone import build_backbone
from qcface_train.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    save_weights,
)
from qcface_train.data import NO_CLASS, Batch, BatchMaker, Split, ahead
from qcface_train.faces import FaceSet
from qcface_train.heads import CosineHead, build_margin, class_centres
from qcface_train.norm_terms import build_norm_term
from qcface_train.recognizability import guidance
from qcface_train.validation import validate

_LOG = logging.getLogger("qcface_train")
_REPLAN_SECONDS = 120.0
_LADDER_FACES = 40


class DivergedError(RuntimeError):
    """The loss is not finite."""


@dataclass(slots=True)
class Plan:
    """How long the run is and where its norm phase begins; moved only by a time budget or by `control.json`."""

    steps: int
    norm_from: int

    @classmethod
    def of(cls, steps: int, norm_phase: float) -> Plan:
        """Plan a run of `steps` steps with the last `norm_phase` of them in the norm phase."""
        return cls(steps, steps if norm_phase == 0 else round(steps * (1 - norm_phase)))


class Trainer:
    """Owns model, running average, head and optimiser of one run; not thread-safe.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    faces, split : FaceSet, Split
        Pictures, and which of them train and which choose.
    targets : ndarray of float32, shape (N, 512), or None
        The teacher's unit embeddings; needed if the recipe names a teacher.
    folder : Path
        For checkpoint, log and control file; not inside the source tree.
    """

    def __init__(self, recipe: Recipe, faces: FaceSet, split: Split, targets: np.ndarray | None, folder: Path) -> None:
        self.recipe, self.faces, self.split, self.folder = recipe, faces, split, folder
        torch.manual_seed(recipe.data.seed)
        torch.set_num_threads(recipe.run.threads)
        self.model = build_backbone(recipe.model)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.head = CosineHead(split.class_count, self.model.final_bn.num_features)
        if targets is not None:
            self.head.start_from(class_centres(targets, split.train_classes, split.class_count))
        self.margin = build_margin(recipe.loss)
        self.norm_term = build_norm_term(recipe.loss)
        self.batches = BatchMaker(faces, split, targets, recipe.run.batch, recipe.data.seed, window=recipe.data.window)
        self.optimiser = self._make_optimiser()
        self.plan = Plan.of(recipe.run.steps, recipe.run.norm_phase)
        self.step = 0
        self.norm_started_at = -1
        self.seconds = 0.0
        self._control_time = 0.0

    def _make_optimiser(self) -> torch.optim.AdamW:
        gain = list(self.model.final_bn.parameters())
        gain_ids = {id(parameter) for parameter in gain}
        body = [parameter for parameter in self.model.parameters() if id(parameter) not in gain_ids]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in body if p.ndim > 1], "weight_decay": self.recipe.run.weight_decay},
            {"params": [p for p in body if p.ndim <= 1]},
            {"params": list(self.head.parameters())},
            {"params": gain},
        ]
        return torch.optim.AdamW(groups, lr=self.recipe.run.lr, weight_decay=0.0, fused=True)

    @property
    def in_norm_phase(self) -> bool:
        """Whether the next step has the norm loss on."""
        return self.step >= self.plan.norm_from

    def learning_rate(self) -> float:
        """Return the body's rate at this step: linear warm-up, then cosine over both phases."""
        run = self.recipe.run
        if self.step < run.warmup:
            return run.lr * (self.step + 1) / run.warmup
        share = (self.step - run.warmup) / max(1, self.plan.steps - run.warmup)
        return run.lr * (run.last_lr + (1 - run.last_lr) * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))

    def make_batch(self, step: int) -> Batch:
        """Return batch `step` with the augmentation of its phase."""
        phase = int(step >= self.plan.norm_from)
        return self.batches.make(step, self.recipe.data.damage_share[phase], self.recipe.data.worst_damage[phase])

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Take one step; return the figures to log.

        Raises
        ------
        DivergedError
            If the loss is NaN or infinite; the weights of before the step are kept.
        """
        if self.in_norm_phase and self.norm_started_at < 0:
            self._start_norm_phase(batch)
        self.model.train()
        if self.norm_started_at >= 0:
            # With batch statistics an outlying face is scaled down by its own weight in the batch: its true norm is
            # never seen, and is enormous in evaluation mode. With running ones the loss sees what inference will see.
            self.model.final_bn.eval()
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = self.model(batch.images)
        loss, figures = self._loss(embeddings, batch)
        if not math.isfinite(figures["loss"]):
            parts = ", ".join(f"{name}={value:.4g}" for name, value in figures.items())
            raise DivergedError(
                f"loss is not finite at step {self.step} ({parts}); lower run.lr or loss.norm_weight and resume from "
                f"{self.folder / 'checkpoint.pt'}, which is from before"
            )
        rate = self.learning_rate()
        gain_rate = rate * (self.recipe.run.gain_lr if self.norm_started_at >= 0 else 1.0)
        for group, lr in zip(self.optimiser.param_groups, (rate, rate, rate, gain_rate), strict=True):
            group["lr"] = lr
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        clipped = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.run.clip)
        self.optimiser.step()
        self._update_average()
        self.step += 1
        return figures | {"gradient": float(clipped), "lr": rate}

    def _loss(self, embeddings: Tensor, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        arguments = self.recipe.loss
        embeddings = embeddings.float()  # (B, D)
        norms = embeddings.norm(dim=1)
        total = embeddings.new_zeros(())
        figures: dict[str, float] = {}
        known = batch.classes != NO_CLASS
        classes = batch.classes[known]
        cosines = self.head(embeddings[known])  # (K, C)
        if len(classes):
            identity = F.cross_entropy(self.margin(cosines, classes, norms[known]), classes)
            total = total + arguments.identity_weight * identity
            figures["id"] = float(identity.detach())
        if arguments.teacher:
            distillation = (1 - F.cosine_similarity(embeddings, batch.targets, dim=1)).mean()
            total = total + arguments.distillation_weight * distillation
            figures["kd"] = float(distillation.detach())
        if len(classes):
            p = guidance(cosines, classes, arguments.p_scale)
            figures["p"] = float(p.mean())
            if self.norm_term is not None and (self.norm_started_at >= 0 or not self.norm_term.late):
                quality = self.norm_term(norms[known], p).mean()
                since = self.step - max(0, self.norm_started_at) + 1
                rise = min(1.0, since / max(1, arguments.norm_warmup)) if self.norm_term.late else 1.0
                total = total + arguments.norm_weight * rise * quality
                figures["qc"] = float(quality.detach())
        z = norms.detach()
        figures |= {"norm": float(z.mean()), "norm_min": float(z.min()), "norm_max": float(z.max())}
        return total, {"loss": float(total.detach())} | figures

    @torch.no_grad()
    def _start_norm_phase(self, batch: Batch) -> None:
        """Scale the final batch norm so that the mean norm is half-way between la and ua (directions do not change)."""
        self.model.eval()
        middle = (self.recipe.loss.la + self.recipe.loss.ua) / 2
        factor = middle / float(self.model(batch.images).norm(dim=1).mean())
        for network in (self.model, self.average):
            network.final_bn.weight.mul_(factor)
            network.final_bn.bias.mul_(factor)
        for parameter in self.model.final_bn.parameters():
            self.optimiser.state.pop(parameter, None)
        self.norm_started_at = self.step
        _LOG.info("step %d: norm phase begins, gain scaled by %.3f", self.step, factor)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.run.ema, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True)
        for kept, current in pairs:
            if kept.is_floating_point():
                kept.lerp_(current, 1 - decay)
            else:
                kept.copy_(current)

    def state(self) -> dict[str, Any]:
        """Return everything an exact resume needs."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "head": self.head.state_dict(),
            "margin": self.margin.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
            "plan": [self.plan.steps, self.plan.norm_from],
            "norm_started_at": self.norm_started_at,
            "seconds": self.seconds,
            "samples": self.step * self.recipe.run.batch,
            "architecture": asdict(self.recipe.model),
            "recipe": self.recipe.digest(),
        }

    def resume(self) -> None:
        """Continue from the checkpoint in the run's folder.

        Raises
        ------
        CheckpointError
            If there is none, it is damaged, or it belongs to another architecture or set of classes.
        """
        content = load_checkpoint(self.folder / "checkpoint.pt")
        try:
            self.model.load_state_dict(content["model"])
            self.average.load_state_dict(content["average"])
            self.head.load_state_dict(content["head"])
            # Checkpoints from before margins had running figures hold none.
            self.margin.load_state_dict(content.get("margin", self.margin.state_dict()))
        except RuntimeError as error:
            raise CheckpointError(
                f"the checkpoint in {self.folder} is of another architecture or set of classes "
                f"(it says {content.get('architecture')}); give its recipe, or another folder: {error}"
            ) from error
        if content["recipe"] != self.recipe.digest():
            _LOG.warning("the recipe differs from the one the checkpoint was begun with")
        self.optimiser.load_state_dict(content["optimiser"])
        torch.set_rng_state(content["torch_rng"])
        self.step = content["step"]
        self.plan = Plan(*content["plan"])
        self.norm_started_at = content["norm_started_at"]
        self.seconds = content["seconds"]

    def start_from(self, path: Path) -> None:
        """Begin with the weights of an earlier run (its ``weights.pt``); head, schedule and optimiser start afresh.

        Raises
        ------
        CheckpointError
            If the file is damaged or of another architecture.
        """
        weights = load_weights(path)
        try:
            self.model.load_state_dict(weights)
            self.average.load_state_dict(weights)
        except RuntimeError as error:
            raise CheckpointError(f"{path} is of another architecture; give its recipe: {error}") from error

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self.folder / "checkpoint.pt", self.state())

    def read_control(self) -> None:
        """Take a new plan from ``control.json`` ({"steps": N, "norm_from": M}, either may be absent) if it changed."""
        path = self.folder / "control.json"
        if not path.is_file() or path.stat().st_mtime == self._control_time:
            return
        self._control_time = path.stat().st_mtime
        try:
            wish = json.loads(path.read_text())
            self.plan = Plan(int(wish.get("steps", self.plan.steps)), int(wish.get("norm_from", self.plan.norm_from)))
        except (ValueError, AttributeError, TypeError) as error:
            _LOG.warning("control.json is ignored: %s", error)

    def fit(self, minutes: float | None = None, *, shown: bool = True) -> None:
        """Train to the end of the plan, or so long that the run ends after `minutes`.

        Writes ``log.jsonl`` (every step's figures), ``checkpoint.pt`` and evaluations on the held-out identities.
        """
        from tqdm import tqdm

        self.folder.mkdir(parents=True, exist_ok=True)
        clock = _Clock(minutes, self.step)
        run = self.recipe.run
        saved = evaluated = time.monotonic()
        before = self.seconds
        bar = tqdm(total=self.plan.steps, initial=self.step, unit="step", disable=not shown, mininterval=20)
        with (self.folder / "log.jsonl").open("a", buffering=1) as log, bar:
            for _, batch in ahead(self.make_batch, self.step, lambda: self.plan.steps):
                figures = self.train_step(batch)
                clock.tick()
                self.seconds = before + clock.elapsed()
                rate = clock.images_per_second(self.step, run.batch)
                rounded = {name: round(value, 5) for name, value in figures.items()}
                log.write(json.dumps({"step": self.step, "seconds": round(self.seconds, 1), **rounded}) + "\n")
                bar.update(1)
                bar.set_postfix_str(
                    f"{rate:.0f} img/s " + " ".join(f"{n}={figures[n]:.3g}" for n in _SHOWN if n in figures),
                    refresh=False,
                )
                self.read_control()
                if clock.is_replanning_due(self.step):
                    self._replan(clock)
                bar.total = self.plan.steps
                now = time.monotonic()
                if now - saved > run.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
                if now - evaluated > run.evaluate_minutes * 60:
                    self.evaluate(log)
                    evaluated = time.monotonic()
            self.save()
            save_weights(self.folder / "weights.pt", self.average.state_dict())
            self.evaluate(log)

    def _replan(self, clock: _Clock) -> None:
        steps = clock.plan_steps(self.step)
        norm_from = self.plan.norm_from
        if self.norm_started_at < 0:
            norm_from = max(self.step, Plan.of(steps, self.recipe.run.norm_phase).norm_from)
        self.plan = Plan(max(steps, self.step), norm_from)

    def evaluate(self, log: Any) -> None:
        """Measure the running average on the held-out identities and log it."""
        rows = self.split.held_out_rows
        if not len(rows):
            return
        faces = _LADDER_FACES if self.norm_started_at >= 0 else 0
        result = validate(self.average, self.faces.images[rows], self.faces.labels[rows], faces)
        log.write(json.dumps({"step": self.step, "validation": result.to_dict()}) + "\n")
        _LOG.info("step %d: held-out %s", self.step, json.dumps(result.to_dict()))


_SHOWN = ("kd", "id", "p", "qc", "norm")


class _Clock:
    """Measures the rate of a run and turns a time budget into a number of steps."""

    _LONGEST_STEP = 10.0
    """Seconds; what goes beyond (a stopped process, a sleeping machine) says nothing of the rate."""

    def __init__(self, minutes: float | None, first_step: int) -> None:
        now = time.monotonic()
        self._start = self._last = self._planned_at = now
        self._deadline = None if minutes is None else now + minutes * 60
        self._first = self._mark_step = first_step
        self._active = self._mark_active = 0.0
        self._planned = False

    def tick(self) -> None:
        """Note the end of a step."""
        now = time.monotonic()
        self._active += min(now - self._last, self._LONGEST_STEP)
        self._last = now

    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def images_per_second(self, step: int, batch: int) -> float:
        return (step - self._first) * batch / max(self._active, 1e-9)

    def is_replanning_due(self, step: int) -> bool:
        if self._deadline is None:
            return False
        early = not self._planned and step - self._first >= 20
        return early or time.monotonic() - self._planned_at > _REPLAN_SECONDS

    def plan_steps(self, step: int) -> int:
        """Return the step at which the budget will be used up, from the pace since the last plan and of the run."""
        now = time.monotonic()
        recent = (step - self._mark_step) / max(self._active - self._mark_active, 1e-9)
        whole = (step - self._first) / max(self._active, 1e-9)
        # Half each: neither one busy minute nor a change for good misleads the plan for long.
        left = max(0.0, (self._deadline or now) - now)
        self._mark_step, self._mark_active, self._planned_at, self._planned = step, self._active, now, True
        return step + int(left * (recent + whole) / 2)
