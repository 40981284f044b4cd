"""The state of a run, to and from its checkpoint; the file is the same for any number of processes."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from qcface_train.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_class_weights,
    load_part,
    load_weights,
    save_checkpoint,
)
from qcface_train.optimiser import gather_head_state, load_optimiser, optimiser_of
from qcface_train.schedule import Plan

if TYPE_CHECKING:
    from qcface_train.loop import Trainer

_LOG = logging.getLogger("qcface_train")


def collect(trainer: Trainer) -> dict[str, Any]:
    """Return everything an exact resume needs; all processes must call it, the first one's is whole.

    Order, augmentation and dropout depend on the step's number alone, so no generator's state is part of it.
    """
    classifier = trainer.classifier

    def whole(part: Tensor) -> Tensor:
        return trainer.world.joined_classes(part, classifier.classes)

    return {
        "model": trainer.model.state_dict(),
        "average": trainer.average.state_dict(),
        "head": {"weight": classifier.whole_weight()},
        "margin": classifier.margin.state_dict(),
        "optimiser": gather_head_state(trainer.optimiser.state_dict(), whole),
        "optimiser_name": trainer.recipe.run.optimiser,
        "precision": trainer.precision.state(),
        "step": trainer.step,
        "plan": [trainer.plan.steps, trainer.plan.norm_from],
        "norm_started_at": trainer.norm_started_at,
        "seconds": trainer.seconds,
        "samples": trainer.step * trainer.recipe.run.batch,
        "architecture": asdict(trainer.recipe.model),
        "recipe": trainer.recipe.digest(),
        "lengths": [trainer.recipe.loss.la, trainer.recipe.loss.ua],
        "teacher_basis": trainer.basis and trainer.basis.to_dict(),
    }


def save_run(trainer: Trainer) -> None:
    """Write the checkpoint of a run; the first process raises CheckpointError if it cannot."""
    content = collect(trainer)
    if trainer.world.is_first:
        save_checkpoint(trainer.folder / "checkpoint.pt", content)


def load_run(trainer: Trainer) -> None:
    """Bring a trainer to the state of the checkpoint in its folder; raises CheckpointError."""
    content = load_checkpoint(trainer.folder / "checkpoint.pt")
    _check_optimiser(trainer, content)
    try:
        trainer.model.load_state_dict(content["model"])
        trainer.average.load_state_dict(content["average"])
        _load_head(trainer, content["head"]["weight"])
        # Checkpoints from before margins had running figures hold none.
        trainer.classifier.margin.load_state_dict(content.get("margin", trainer.classifier.margin.state_dict()))
        part = trainer.classifier.part
        load_optimiser(
            trainer.optimiser,
            gather_head_state(content["optimiser"], lambda whole: whole[part.start : part.stop].clone()),
        )
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint in {trainer.folder} is of another architecture or set of classes "
            f"(it says {content.get('architecture')}); give its recipe, or another folder: {error}"
        ) from error
    if content["recipe"] != trainer.recipe.digest():
        _LOG.warning("the recipe differs from the one the checkpoint was begun with")
    trainer.precision.resume(content.get("precision", [1.0, 0.0]))
    trainer.step = content["step"]
    trainer.plan = Plan(*content["plan"])
    trainer.norm_started_at = content["norm_started_at"]
    trainer.seconds = content["seconds"]


def _check_optimiser(trainer: Trainer, content: dict[str, Any]) -> None:
    """Refuse another optimiser's state, which loads without an error and has nothing that a step needs."""
    # Checkpoints from before the name was kept show it by what their groups hold.
    saved, wanted = content.get("optimiser_name") or optimiser_of(content["optimiser"]), trainer.recipe.run.optimiser
    if saved != wanted:
        raise CheckpointError(
            f"the checkpoint in {trainer.folder} was made with run.optimiser {saved}, the recipe says {wanted}; give "
            "its recipe, or begin another folder with --init"
        )


def begin_with(trainer: Trainer, path: Path) -> None:
    """Give a trainer the weights of an earlier run; raises CheckpointError.

    From a checkpoint the running average is taken, and if the classes are as many the class weights and, for the same
    head, the running figures of its margin. Schedule and optimiser start afresh.
    """
    weights, head = load_weights(path), load_class_weights(path)
    try:
        trainer.model.load_state_dict(weights)
        trainer.average.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path} is of another architecture; give its recipe: {error}") from error
    if head is None:
        return
    if head.shape[0] == trainer.classifier.classes:
        _load_head(trainer, head)
        margin, kept = trainer.classifier.margin, load_part(path, "margin") or {}
        # Heads differ in what they keep, so the names tell them apart where it matters.
        if kept.keys() == margin.state_dict().keys():
            margin.load_state_dict(kept)
        _LOG.info("backbone and class weights taken from %s", path)
    else:
        _LOG.warning(
            "%s has %d classes, this run %d: its class weights are not used",
            path,
            head.shape[0],
            trainer.classifier.classes,
        )


@torch.no_grad()
def _load_head(trainer: Trainer, whole: Tensor) -> None:
    classifier = trainer.classifier
    if whole.shape != (classifier.classes, classifier.head.weight.shape[1]):
        raise ValueError(f"it has class weights of shape {tuple(whole.shape)}, this run {classifier.classes} classes")
    classifier.head.weight.copy_(whole[classifier.part.start : classifier.part.stop])
