"""The training loop: one process or several, two phases in one run or two, exact resume.

A step is a pure function of the recipe, the step's number, the planned number of steps and the state that a checkpoint
holds; a run that was killed and resumed gives the loss curve of one that was not. A time budget only moves the planned
number of steps, and every change is written down in checkpoint and log.
"""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from qcface_train.arguments import LATE_NORM_TERMS, Recipe
from qcface_train.backbone import build_backbone
from qcface_train.checkpoint import CheckpointError, save_weights
from qcface_train.classifier import Classifier
from qcface_train.data import Batch, BatchMaker, Split, ahead
from qcface_train.distributed import World, WorldError
from qcface_train.ensemble import TeacherBasis
from qcface_train.faces import FaceSet, read_whole
from qcface_train.feeding import Feeder, OnlineTeacher
from qcface_train.heads import build_margin, class_centres
from qcface_train.interrupts import Interrupts
from qcface_train.journal import Journal
from qcface_train.norm_terms import build_norm_term
from qcface_train.objective import Objective, Verdict, mean_figures
from qcface_train.optimiser import gradient_norm, make_optimiser, move_average, set_rates
from qcface_train.order import mixed_seed
from qcface_train.precision import Precision
from qcface_train.run_report import write_run_report
from qcface_train.run_state import begin_with, load_run, save_run
from qcface_train.schedule import Clock, Plan, learning_rate, planned_steps
from qcface_train.sources.pairs import PairSet
from qcface_train.validation import validate

_LOG = logging.getLogger("qcface_train")
_LADDER_FACES = 40


class DivergedError(RuntimeError):
    """The loss is not finite."""


class Trainer:
    """Owns model, running average, head and optimiser of one run; not thread-safe.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    faces, split : FaceSet, Split
        Pictures, and which of them train and which choose.
    targets : ndarray of float32, shape (N, 512), or None
        Unit embeddings of the clean pictures by the teachers; needed if the recipe names a teacher.
    folder : Path
        For checkpoint, log and control file; not inside the source tree.
    world : World, optional
        The processes of the run; one on the CPU by default.
    teacher : OnlineTeacher, optional
        Embeds the changed pictures, if the recipe wants that.
    pairs : mapping of str to PairSet, optional
        Verification sets to watch.
    basis : TeacherBasis, optional
        What the targets were made with, for those who go on from the run's checkpoint.

    Raises
    ------
    WorldError
        If the processes cannot share a batch equally, or cannot do what the recipe asks of them.
    """

    def __init__(
        self,
        recipe: Recipe,
        faces: FaceSet,
        split: Split,
        targets: np.ndarray | None,
        folder: Path,
        *,
        world: World | None = None,
        teacher: OnlineTeacher | None = None,
        pairs: dict[str, PairSet] | None = None,
        basis: TeacherBasis | None = None,
    ) -> None:
        self.recipe, self.faces, self.split, self.folder = recipe, faces, split, folder
        self.world = world or World()
        self.pairs, self.basis = pairs or {}, basis
        part = self._check_world()
        torch.manual_seed(recipe.data.seed)
        torch.set_num_threads(recipe.run.threads)
        self.model = build_backbone(recipe.model)
        classifier = self._build_classifier(targets)
        self.objective = Objective(recipe.loss, classifier, build_norm_term(recipe.loss)).to(self.world.device)
        self.precision = Precision(recipe.run.precision, self.world.device)
        self.model.to(self.world.device, memory_format=self.precision.memory_format)  # type: ignore[call-overload]
        if recipe.run.sync_batch_norm and self.world.size > 1:
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)  # type: ignore[no-untyped-call]
        self.average = copy.deepcopy(self.model).requires_grad_(False).eval()
        self.parallel = self.network = self.world.parallel(self.model)
        if recipe.run.compile:
            self.network = torch.compile(self.parallel, backend=recipe.run.compile)  # type: ignore[assignment]
        batches = BatchMaker(
            faces,
            split,
            targets,
            recipe.run.batch,
            recipe.data.seed,
            window=recipe.data.window,
            part=part,
            mixed_share=recipe.data.mixed_share,
        )
        self.feeder = Feeder(batches, recipe.data, self.is_norm_step, self.world.device, teacher)
        self.optimiser = make_optimiser(recipe.run, self.model, self.model.final_bn, classifier.head)
        self.plan = Plan.of(planned_steps(recipe.run, len(split.train_rows)), recipe.run.norm_phase)
        self.step = 0
        self.norm_started_at = -1
        self.seconds = 0.0
        self._control_time = 0.0
        self._last_norms = torch.zeros(0)

    def _check_world(self) -> slice:
        """Return this process's part of each batch; raises WorldError where the recipe does not fit the processes."""
        run = self.recipe.run
        part = self.world.even_part(run.batch)
        if (part.stop - part.start) % run.accumulate:
            raise WorldError(
                f"{part.stop - part.start} pictures a process cannot be computed in {run.accumulate} equal parts; "
                "change run.batch or run.accumulate"
            )
        if run.sync_batch_norm and self.world.size > 1 and self.world.device.type != "cuda":
            raise WorldError("run.sync_batch_norm needs CUDA devices; leave it out on a CPU")
        return part

    def _build_classifier(self, targets: np.ndarray | None) -> Classifier:
        size, count = self.model.final_bn.num_features, self.split.class_count
        classes = self.split.train_classes[self.split.train_rows]
        margin = build_margin(self.recipe.loss)
        all_known = bool((classes >= 0).all()) and not self.recipe.data.mixed_share
        classifier = Classifier(count, size, margin, self.recipe.loss.p_scale, self.world, all_known=all_known)
        if targets is not None:
            classifier.start_from(class_centres(targets, self.split.train_classes, count))
        return classifier

    @property
    def classifier(self) -> Classifier:
        """The class weights and their margin."""
        return self.objective.classifier

    def is_norm_step(self, step: int) -> bool:
        """Return whether a step lies in the norm phase."""
        return step >= self.plan.norm_from

    def make_batch(self, step: int) -> Batch:
        """Return this process's part of batch `step` with the augmentation of its phase."""
        return self.feeder.make(step)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Take one step; return the figures to log.

        Raises
        ------
        DivergedError
            If the loss or its gradient is NaN or infinite; the weights of before the step are kept.
        """
        if self.is_norm_step(self.step) and self.norm_started_at < 0:
            self._start_norm_phase(batch)
        self.network.train()
        self.objective.train()
        if self.norm_started_at >= 0:
            # With batch statistics an outlying face is scaled down by its own weight in the batch: its true norm is
            # never seen, and is enormous in evaluation mode. With running ones the loss sees what inference will see.
            self.model.final_bn.eval()
        # Dropout draws anew from the step's number, so that no state of a generator has to be kept.
        torch.manual_seed(mixed_seed(self.recipe.data.seed, self.step, self.world.rank))
        self.optimiser.zero_grad(set_to_none=True)
        verdicts = self._backward(batch)
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        self.precision.unscale(parameters)
        gradient = nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.run.clip)
        head_gradient = gradient_norm(self.classifier.parameters(), self.world.device)
        figures = self._agree(mean_figures(verdicts) | {"gradient": gradient, "head_gradient": head_gradient})
        self._check(figures)
        rate = learning_rate(self.recipe.run, self.plan.steps, self.step)
        if self.precision.take_step(figures["gradient"] + figures["head_gradient"]):
            set_rates(self.optimiser, rate, self.recipe.run.gain_lr if self.norm_started_at >= 0 else 1.0)
            self.optimiser.step()
            move_average(self.average, self.model, min(self.recipe.run.ema, (1 + self.step) / (10 + self.step)))
        self.step += 1
        return figures | {"lr": rate}

    def _backward(self, batch: Batch) -> list[Verdict]:
        """Add up the gradients of the batch, part by part."""
        verdicts: list[Verdict] = []
        count = self.recipe.run.accumulate
        parts = zip(*(tensor.chunk(count) for tensor in (batch.images, batch.classes, batch.targets)), strict=True)
        since = self.step - self.norm_started_at + 1 if self.norm_started_at >= 0 else 0
        for number, part in enumerate(parts, 1):
            with self._without_exchange() if number < count else contextlib.nullcontext():
                with self.precision.autocast():
                    embeddings = self.network(part[0].contiguous(memory_format=self.precision.memory_format))
                verdict = self.objective(embeddings, Batch(*part), since)
                (verdict.total * (self.precision.scale / count)).backward()
            verdicts.append(verdict)
        self._last_norms = verdicts[-1].norms
        return verdicts

    def _without_exchange(self) -> contextlib.AbstractContextManager[None]:
        """Let processes exchange gradients once a step, after the last part."""
        parallel = self.parallel
        return (
            parallel.no_sync()
            if isinstance(parallel, nn.parallel.DistributedDataParallel)
            else contextlib.nullcontext()
        )

    def _agree(self, figures: dict[str, Tensor]) -> dict[str, float]:
        """Return the means over all processes, the extremes of the norms and the largest head gradient."""
        names = sorted(figures)
        values = torch.stack([figures[name].detach().double() for name in names])
        means = self.world.sum(values) / self.world.size
        # A maximum over processes may lose a NaN, and with it the news that one process must not take the step.
        known = torch.nan_to_num(values, nan=math.inf, posinf=math.inf, neginf=-math.inf)
        extremes = self.world.max(torch.where(known.new_tensor([n == "norm_min" for n in names]) > 0, -known, known))
        agreed = dict(zip(names, torch.stack([means, extremes], 1).tolist(), strict=True))
        largest = {"norm_max": 1, "head_gradient": 1, "norm_min": -1}
        return {name: largest[name] * extreme if name in largest else mean for name, (mean, extreme) in agreed.items()}

    def _check(self, figures: dict[str, float]) -> None:
        gradients = figures["gradient"] + figures["head_gradient"]
        bad_gradient = not math.isfinite(gradients) and not self.precision.may_overflow
        if math.isfinite(figures["loss"]) and not bad_gradient:
            return
        parts = ", ".join(f"{name}={value:.4g}" for name, value in figures.items())
        raise DivergedError(
            f"loss is not finite at step {self.step} ({parts}); lower run.lr or loss.norm_weight and resume from "
            f"{self.folder / 'checkpoint.pt'}, which is from before"
        )

    @torch.no_grad()
    def _start_norm_phase(self, batch: Batch) -> None:
        """Scale the final batch norm so that the mean norm is half-way between la and ua (directions do not change)."""
        self.model.eval()
        middle = (self.recipe.loss.la + self.recipe.loss.ua) / 2
        mean = float(self.world.sum(self.model(batch.images).norm(dim=1).mean())) / self.world.size
        for network in (self.model, self.average):
            network.final_bn.weight.mul_(middle / mean)
            network.final_bn.bias.mul_(middle / mean)
        for parameter in self.model.final_bn.parameters():
            self.optimiser.state.pop(parameter, None)
        self.norm_started_at = self.step
        _LOG.info("step %d: norm phase begins, gain scaled by %.3f", self.step, middle / mean)

    def save(self) -> None:
        """Write the checkpoint; all processes must call it, the first one writes."""
        save_run(self)

    def resume(self) -> None:
        """Continue from the checkpoint in the run's folder, also with another number of processes.

        Raises
        ------
        CheckpointError
            If there is none, it is damaged, or it belongs to another architecture or set of classes.
        """
        load_run(self)

    def start_from(self, path: Path) -> None:
        """Begin with the weights of an earlier run: its ``weights.pt``, or its checkpoint with the class weights.

        Raises
        ------
        CheckpointError
            If the file is damaged or of another architecture.
        """
        begin_with(self, path)

    def read_control(self) -> None:
        """Take a new plan from ``control.json`` ({"steps": N, "norm_from": M}, either may be absent) if it changed.

        Without ``norm_from`` a run that was to have no norm phase still has none; one whose norm term knows no phases
        never has.
        """
        path = self.folder / "control.json"
        if not path.is_file() or path.stat().st_mtime == self._control_time:
            return
        self._control_time = path.stat().st_mtime
        try:
            wish = json.loads(path.read_text())
            plan = self._plan_to(int(wish.get("steps", self.plan.steps)))
            if self.recipe.loss.norm in LATE_NORM_TERMS:
                plan.norm_from = int(wish.get("norm_from", plan.norm_from))
            self.plan = plan
        except (ValueError, AttributeError, TypeError) as error:
            _LOG.warning("control.json is ignored: %s", error)

    def _plan_to(self, steps: int) -> Plan:
        """Return the plan with another end; a norm phase that was not to come does not come by that."""
        none = self.norm_started_at < 0 and self.plan.norm_from == self.plan.steps
        return Plan(steps, steps if none else self.plan.norm_from)

    def fit(self, minutes: float | None = None, *, shown: bool = True) -> None:
        """Train to the end of the plan, or so long that the run ends after `minutes`.

        Writes ``log.jsonl`` (every step's figures), ``checkpoint.pt``, evaluations on the held-out identities, and at
        the end ``weights.pt`` and ``report.html``.

        Raises
        ------
        KeyboardInterrupt
            After SIGINT or SIGTERM, when the step is done and a checkpoint is written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        clock = Clock(minutes, self.step)
        self._plan_ahead(clock)
        run, before = self.recipe.run, self.seconds
        saved = evaluated = time.monotonic()
        first = self.world.is_first
        journal = Journal(
            self.folder, self.step, self.plan.steps, active=first, shown=shown, tensorboard=run.tensorboard
        )
        with journal, Interrupts() as interrupts:
            for _, prepared in ahead(self.feeder.prepare, self.step, lambda: self.plan.steps, workers=run.workers):
                figures = self.train_step(self.feeder.finish(prepared))
                clock.tick()
                self.seconds = before + clock.elapsed()
                rate = clock.images_per_second(self.step, run.batch)
                journal.step(self.step, self.seconds, rate, self.plan.steps, figures)
                journal.norms(self.step, self._last_norms.cpu().numpy())
                now = time.monotonic()
                due = (now - saved > run.checkpoint_minutes * 60, now - evaluated > run.evaluate_minutes * 60)
                must_save, must_evaluate, must_stop = self._decide(clock, due, interrupts.requested)
                if must_stop:
                    self.save()
                    raise KeyboardInterrupt
                if must_save:
                    self._try_to_save()
                    saved = time.monotonic()
                if must_evaluate:
                    self.evaluate(journal)
                    evaluated = time.monotonic()
            self.save()
            if first:
                save_weights(self.folder / "weights.pt", self.average.state_dict())
            self.evaluate(journal)
        if first:
            write_run_report(self.folder)

    def _plan_ahead(self, clock: Clock) -> None:
        """Bring the plan up to date before the first step: a run that is at its end takes no other."""
        if self.world.is_first:
            self.read_control()
            self.plan = self._plan_to(max(self.plan.steps, clock.first_end()))
        self._decide(clock, (False, False), False)

    def _decide(self, clock: Clock, due: tuple[bool, bool], stop: bool) -> tuple[bool, bool, bool]:
        """Let the first process decide on plan, checkpoint and evaluation, and any process on stopping."""
        if self.world.is_first:
            self.read_control()
            if clock.is_replanning_due(self.step):
                self._replan(clock)
        if self.world.size == 1:
            return *due, stop
        wish = [*due, self.plan.steps, self.plan.norm_from] if self.world.is_first else [0, 0, 0, 0]
        agreed = torch.tensor([*wish, stop], dtype=torch.int64, device=self.world.device)
        save, evaluate, steps, norm_from, stops = self.world.sum(agreed).tolist()
        self.plan = Plan(steps, norm_from)
        return bool(save), bool(evaluate), bool(stops)

    def _try_to_save(self) -> None:
        try:
            self.save()
        except CheckpointError as error:
            # A full disk may be cleared before the next attempt; hours of training must not end for it.
            _LOG.error("%s; training goes on", error)

    def _replan(self, clock: Clock) -> None:
        steps = clock.plan_steps(self.step)
        norm_from = self.plan.norm_from
        if self.norm_started_at < 0:
            norm_from = max(self.step, Plan.of(steps, self.recipe.run.norm_phase).norm_from)
        self.plan = Plan(max(steps, self.step), norm_from)

    def evaluate(self, journal: Journal) -> None:
        """Measure the running average on the held-out identities and log it."""
        rows = self.split.held_out_rows
        if self.world.is_first and (len(rows) or self.pairs):
            faces = _LADDER_FACES if self.norm_started_at >= 0 else 0
            pictures, labels = read_whole(self.faces, rows)
            result = validate(self.average, pictures, labels, faces, self.pairs)
            journal.validation(self.step, self.step * self.recipe.run.batch, result.to_dict())
        self.world.wait()
