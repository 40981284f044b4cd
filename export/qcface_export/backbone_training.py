"""Train the networks that are compared with equal pictures, order, loss and number of steps; only the network differs.

What they come to is measured on identities that none of them was trained on. A finished network is not trained again, a
stopped one goes on from its checkpoint.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path

from qcface_export.backbone_comparison import CANDIDATES
from qcface_export.files import write_whole
from qcface_train.arguments import Recipe, RecipeError
from qcface_train.opening import open_trainer
from qcface_train.run_report import RunLog


@dataclass(frozen=True, slots=True)
class Trained:
    """What a network came to."""

    pictures: int
    """Pictures seen; one that is seen again counts again."""
    seconds: float
    """Time of the training, with reading and augmenting."""
    tar: float
    """Share of the held-out genuine pairs above the threshold that 1 in 1,000 held-out impostor pairs passes."""
    accuracy: float
    """Best balanced accuracy over the held-out pairs."""


def with_budget(recipe: Recipe, pictures: int) -> Recipe:
    """Return the recipe with so many steps that each network sees so many pictures, rounded up to whole batches.

    Raises
    ------
    RecipeError
        If there is no such number, or the recipe holds out no identity to measure on.
    """
    if pictures < 1:
        raise RecipeError(f"expected a number of pictures above 0, got {pictures}")
    if not recipe.data.held_out:
        raise RecipeError("the networks are compared on identities held out from training; set data.held_out")
    steps = -(-pictures // recipe.run.batch)
    return dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, steps=steps, epochs=0.0))


def train_backbone(name: str, recipe: Recipe, data: Path, cache: Path, folder: Path) -> Trained:
    """Train one of the candidates, or read what it came to if that is done.

    Parameters
    ----------
    name : str
        A key of `CANDIDATES`.
    recipe : Recipe
        What all networks share; its model section does not count.
    data, cache : Path
        As `qcface_train.opening.open_trainer` takes them.
    folder : Path
        Of all runs; each network has its own in it.

    Raises
    ------
    RecipeError
        If the folder holds this network's run with another recipe or budget.
    DataError, CheckpointError, DivergedError
        If the data cannot be used, or the training fails.
    """
    own = dataclasses.replace(recipe, model=CANDIDATES[name])
    place = folder / re.sub(r"[^\w.]+", "-", name).strip("-")
    _claim(place, own)
    result = place / "result.json"
    if not result.is_file():
        trainer = open_trainer(own, data, cache, place)
        if (place / "checkpoint.pt").is_file():
            trainer.resume()
        trainer.fit()
        found = _read_result(place, trainer.step * own.run.batch, trainer.seconds)
        write_whole(result, json.dumps(dataclasses.asdict(found)).encode())
    return Trained(**json.loads(result.read_text()))


def further_columns(trained: Trained) -> dict[str, str]:
    """Return what a table says of a trained network, by column."""
    return {
        "pictures seen": f"{trained.pictures:,}",
        "trained, pictures/s": f"{trained.pictures / trained.seconds:.0f}",
        "held-out TAR at FMR 1e-3, %": f"{100 * trained.tar:.1f}",
        "held-out accuracy, %": f"{100 * trained.accuracy:.1f}",
    }


def _claim(place: Path, recipe: Recipe) -> None:
    """Write down which recipe a folder is of, or refuse one that is of another."""
    mark = place / "recipe.txt"
    place.mkdir(parents=True, exist_ok=True)
    if not mark.is_file():
        write_whole(mark, recipe.digest().encode())
    elif mark.read_text() != recipe.digest():
        raise RecipeError(f"{place} holds a run of another recipe or budget; remove it or give another folder")


def _read_result(place: Path, pictures: int, seconds: float) -> Trained:
    validations = RunLog.read(place).validations
    figures = validations[max(validations)]["validation"]
    return Trained(pictures, seconds, figures["tar_1e3"], figures["accuracy"])
