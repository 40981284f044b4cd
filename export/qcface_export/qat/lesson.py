"""What fine-tuning learns from: the pictures, targets and class weights of the training that made the weights."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from qcface_export.errors import ExportError
from qcface_export.pictures import PictureSet, with_damage
from qcface_export.qat.tuner import Tuner
from qcface_train.arguments import Recipe
from qcface_train.checkpoint import load_class_weights
from qcface_train.data import ahead, split_identities
from qcface_train.ensemble import OnlineEnsemble, adopt_basis, open_ensemble_targets
from qcface_train.faces import DataError, FaceSet, read_whole
from qcface_train.interrupts import Interrupts
from qcface_train.journal import Journal
from qcface_train.loop import Trainer
from qcface_train.opening import open_faces
from qcface_train.schedule import Plan

_LEAST_HELD_OUT = 10


def open_lesson(
    recipe: Recipe, data: Path, weights: Path, folder: Path, cache: Path, *, batch: int | None = None
) -> Trainer:
    """Return a trainer, for its batches of the norm phase and its loss; it is not trained.

    Parameters
    ----------
    recipe : Recipe
        Of the run that made the weights.
    data : Path
        Folder of the recipe's pictures and of ``teachers/``; unused for drawn faces.
    weights : Path
        ``checkpoint.pt`` or ``weights.pt`` of that run; without class weights in it those are the teacher's.
    folder : Path
        Where an ensemble of teachers keeps its basis.
    cache : Path
        Folder of decoded pictures and teachers' targets.
    batch : int, optional
        Pictures of a step; else the recipe's.

    Raises
    ------
    DataError
        If there are no pictures, or too few held out to prove on.
    CheckpointError
        If the weights are of another architecture than the recipe, or learned from other teachers.
    ExportError
        If neither the file nor a teacher gives class weights.
    """
    run = dataclasses.replace(recipe.run, batch=recipe.run.batch if batch is None else batch, accumulate=1)
    recipe = dataclasses.replace(recipe, run=run)
    names, targets, online = recipe.loss.teachers, None, None
    stored = bool(names) and recipe.loss.teacher_sees == "clean"
    if not stored and load_class_weights(weights) is None:
        raise ExportError(f"the loss needs class weights and {weights} has none; give the checkpoint.pt of the run")
    adopt_basis(weights, names, folder)
    faces = open_faces(recipe, data, cache)
    if stored:
        targets = open_ensemble_targets(faces, names, data / "teachers", folder)
    split = split_identities(
        faces.labels,
        recipe.data.held_out,
        recipe.data.seed,
        smallest_class=recipe.data.smallest_class,
        use_unlabelled=bool(names),
    )
    if len(split.held_out_rows) < _LEAST_HELD_OUT:
        raise DataError(
            f"{len(split.held_out_rows)} pictures are held out and {_LEAST_HELD_OUT} are needed to prove on; raise "
            "data.held_out in the recipe"
        )
    if names and recipe.loss.teacher_sees == "augmented":
        online = OnlineEnsemble.open(faces, names, data / "teachers", folder, torch.device("cpu"))
    trainer = Trainer(recipe, faces, split, targets, folder, teacher=online)
    trainer.start_from(weights)
    trainer.plan = Plan(2**31, 0)  # all steps are of the norm phase
    return trainer


def take_lesson(tuner: Tuner, trainer: Trainer, folder: Path, *, shown: bool = True) -> None:
    """Fine-tune to the end, with a bar, ``log.jsonl`` and a checkpoint every few minutes, as a training does.

    Parameters
    ----------
    tuner : Tuner
        At its beginning or resumed.
    trainer : Trainer
        Of `open_lesson`.
    folder : Path
        Of the run.
    shown : bool
        Whether the bar is drawn.

    Raises
    ------
    KeyboardInterrupt
        After SIGINT or SIGTERM, when the step is done and a checkpoint is written.
    ExportError
        If the loss is not finite.
    CheckpointError
        If a checkpoint cannot be written.
    """
    began, first, steps = time.monotonic(), tuner.step, tuner.tuning.steps
    saved = began
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder, first, steps, shown=shown) as journal, Interrupts() as interrupts:
        for _, prepared in ahead(trainer.feeder.prepare, first, lambda: steps):
            figures = tuner.train_step(trainer.feeder.finish(prepared))
            seconds = time.monotonic() - began
            rate = (tuner.step - first) * trainer.recipe.run.batch / seconds
            journal.step(tuner.step, seconds, rate, steps, figures)
            if interrupts.requested:
                tuner.save(folder)
                raise KeyboardInterrupt
            if time.monotonic() - saved > trainer.recipe.run.checkpoint_minutes * 60:
                tuner.save(folder)
                saved = time.monotonic()
        tuner.save(folder)


def calibration_pictures(trainer: Trainer, count: int) -> PictureSet:
    """Return training pictures, spread evenly, and a damaged copy of each fourth."""
    return with_damage(_spread("train", trainer.faces, trainer.split.train_rows, count))


def proof_pictures(trainer: Trainer, count: int) -> PictureSet:
    """Return pictures of the held-out identities, spread evenly: neither trained nor calibrated on."""
    return _spread("held out", trainer.faces, trainer.split.held_out_rows, count)


def _spread(name: str, faces: FaceSet, rows: NDArray[np.int64], count: int) -> PictureSet:
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))]
    crops, _ = read_whole(faces, chosen)
    return PictureSet(tuple(f"{name} {number}" for number in range(len(crops))), np.ascontiguousarray(crops[..., ::-1]))
