"""Compare losses fairly: equal network, data, order, augmentation and number of steps; only the loss differs.

Each run is an arm with a seed in its own folder. A run whose result is written is not repeated.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_train.ablation.arms import arm_recipe, warm_recipe
from qcface_train.ablation.features import Features
from qcface_train.ablation.figures import COLUMNS, Figures, measure
from qcface_train.ablation.frozen import FrozenTrainer
from qcface_train.arguments import Recipe, RecipeError
from qcface_train.data import split_identities
from qcface_train.evaluation import protocol
from qcface_train.evaluation.lfw import VerificationSet
from qcface_train.faces import FaceSet
from qcface_train.loop import Trainer
from qcface_train.validation import embed

_LOG = logging.getLogger("qcface_train")

Run = Callable[[Recipe, Path], Figures]
"""Trains one recipe in a folder and returns its figures."""


def run_arm(base: Recipe, arm: str, seed: int, folder: Path, run: Run, kind: str) -> Figures:
    """Train and measure one arm with one seed, or read its result if that is done already.

    Parameters
    ----------
    base : Recipe
        What all arms share.
    arm, seed : str, int
        A key of `ARMS`; order, augmentation and first weights.
    folder : Path
        Of the whole ablation.
    run : callable
        Trains and measures.
    kind : str
        What else the result depends on; a result of another kind is refused.

    Raises
    ------
    RecipeError
        If the arm is unknown, or the folder holds its result of another recipe or kind.
    """
    recipe = arm_recipe(base, arm, seed)
    own = folder / arm.replace(" ", "-") / f"seed-{seed}"
    result = own / "result.json"
    name = f"{recipe.digest()} {kind}"
    if result.is_file():
        figures: Figures = json.loads(result.read_text())
        if figures["recipe"] != name:
            raise RecipeError(f"{result} is of another recipe or budget; remove {folder} or give another --out")
        return figures
    own.mkdir(parents=True, exist_ok=True)
    figures = {"recipe": name, "arm": arm, "seed": seed, **run(recipe, own)}
    scratch = result.with_suffix(".new")
    scratch.write_text(json.dumps(figures, indent=1))
    scratch.replace(result)
    _LOG.info("%s, seed %d: %s", arm, seed, {key: round(figures[key], 5) for key in COLUMNS})
    return figures


@dataclass(frozen=True, slots=True)
class FrozenRun:
    """Trains two layers over features; seconds to minutes, so an interrupted run starts again."""

    features: Features
    """Of training pictures and test set."""
    test: VerificationSet
    """Never trained on."""

    def __call__(self, recipe: Recipe, folder: Path) -> Figures:
        """Train and measure."""
        trainer = FrozenTrainer(recipe, self.features)
        trainer.fit()
        return trainer.measure(self.test)


@dataclass(frozen=True, slots=True)
class WholeRun:
    """Trains the recipe's whole network from crops; an interrupted run is resumed from its checkpoint."""

    faces: FaceSet
    """Training pictures."""
    targets: NDArray[np.float32] | None
    """The teacher's embeddings, for warm start and first class directions."""
    test: VerificationSet
    """Never trained on."""
    warm: Path
    """Folder of the warm start that all runs share."""
    warm_steps: int = 0
    """Steps of distillation before the arms part; 0 for none."""
    ladder_faces: int = 60
    """Faces that climb the degradation ladder."""

    def __call__(self, recipe: Recipe, folder: Path) -> Figures:
        """Train and measure."""
        start = self._warm_weights(recipe)
        trainer = self._trainer(recipe, folder, labelled_only=True)
        if start is not None and trainer.step == 0:
            trainer.start_from(start)
        trainer.fit()

        def run(crops: NDArray[np.uint8], _: str) -> NDArray[np.float32]:
            return embed(trainer.average, np.ascontiguousarray(crops[..., ::-1]))

        embeddings = run(self.test.crops, "")
        ladder = protocol.climb_ladder(run, self.test, embeddings, self.ladder_faces)
        return {"samples": trainer.step * recipe.run.batch, **measure(embeddings, ladder.magnitudes, self.test)}

    def _warm_weights(self, recipe: Recipe) -> Path | None:
        if not self.warm_steps:
            return None
        if not (self.warm / "weights.pt").is_file():
            self._trainer(warm_recipe(recipe, self.warm_steps), self.warm, labelled_only=False).fit()
        return self.warm / "weights.pt"

    def _trainer(self, recipe: Recipe, folder: Path, *, labelled_only: bool) -> Trainer:
        data = recipe.data
        split = split_identities(
            self.faces.labels,
            data.held_out,
            data.seed,
            smallest_class=data.smallest_class,
            use_unlabelled=not labelled_only and bool(recipe.loss.teacher),
        )
        trainer = Trainer(recipe, self.faces, split, self.targets, folder)
        if (folder / "checkpoint.pt").is_file():
            trainer.resume()
        return trainer
