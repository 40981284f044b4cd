"""From a recipe and folders to what a run needs: pictures, verification sets, teachers, and the trainer over them."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_train.arguments import Recipe
from qcface_train.blends import BlendPlan, plan_blends, with_blends
from qcface_train.data import Split, split_identities
from qcface_train.distributed import World
from qcface_train.drawing import draw_faces
from qcface_train.ensemble import OnlineEnsemble, TeacherBasis, adopt_basis, open_ensemble_targets
from qcface_train.faces import DataError, FaceSet
from qcface_train.loop import Trainer
from qcface_train.pixel_cache import open_cached, open_streamed
from qcface_train.sources.opening import open_source
from qcface_train.sources.pairs import PairSet, open_pairs

_LOG = logging.getLogger("qcface_train")
_DRAWN_EACH = 16


def open_faces(recipe: Recipe, folder: Path, cache: Path) -> FaceSet:
    """Return a recipe's pictures: drawn, streamed, or decoded once into `cache`; raises DataError.

    One line of the log says how many there are, and how many records were left out.
    """
    if recipe.data.drawn:
        return draw_faces(recipe.data.drawn, _DRAWN_EACH, recipe.data.seed)
    streamed = recipe.data.read == "stream"
    source = open_source(recipe.data.shards, folder, recipe.data.window, mixed=streamed)
    faces = open_streamed(source) if streamed else open_cached(source, cache)
    later = "; damaged pictures show when they are read" if streamed else ""
    _LOG.info("%s: %d pictures, %d records skipped%s", ", ".join(recipe.data.shards), len(faces), faces.skipped, later)
    return faces


def open_pair_sets(recipe: Recipe, folder: Path) -> dict[str, PairSet]:
    """Return the verification sets that a recipe watches, by name; raises DataError."""
    found: dict[str, PairSet] = {}
    for pattern in recipe.data.pairs:
        matches = sorted(folder.glob(pattern))
        if not matches:
            raise DataError(f"nothing in {folder} matches {pattern!r}; check the recipe's data.pairs and --data")
        found |= {path.stem: open_pairs(path) for path in matches}
    for name, pairs in found.items():
        _LOG.info("%s: %d pairs, %d skipped", name, len(pairs), pairs.skipped)
    return found


def open_trainer(
    recipe: Recipe, data: Path, cache: Path, out: Path, world: World | None = None, *, before: Path | None = None
) -> Trainer:
    """Return the trainer of a run at its first step; all processes of the run must call it.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data, cache : Path
        Folder of the recipe's pictures and of ``teachers``; folder for decoded pictures.
    out : Path
        Folder of the run.
    world : World, optional
        The processes of the run; one on the CPU by default.
    before : Path, optional
        The checkpoint that the run will go on from, its own or another one's: its student keeps its teachers' axes.

    Raises
    ------
    DataError
        If pictures, teachers or verification sets are missing or cannot be used.
    CheckpointError
        If `before` cannot be read, or is of the student of other teachers.
    """
    world = world or World()
    if not world.is_first:
        world.wait()  # the first process builds the caches
    names, teachers = recipe.loss.teachers, data / "teachers"
    basis = adopt_basis(before, names, out) if before is not None else None
    faces = open_faces(recipe, data, cache)
    targets: NDArray[np.float32] | None = None
    online = None
    plan = _plan_blends(recipe, faces) if recipe.data.blends else None
    if names and recipe.loss.teacher_sees == "clean":
        targets = open_ensemble_targets(faces, names, teachers, out, plan=plan, shown=world.is_first)
    if names and recipe.loss.teacher_sees == "augmented":
        online = OnlineEnsemble.open(faces, names, teachers, out, world.device)
    if names:
        basis = TeacherBasis.of_run(out, names)
    if world.is_first:
        world.wait()
    if plan is not None:
        faces = with_blends(faces, plan)
    split = _split(recipe, faces)
    pairs = open_pair_sets(recipe, data)
    return Trainer(recipe, faces, split, targets, out, world=world, teacher=online, pairs=pairs, basis=basis)


def _split(recipe: Recipe, faces: FaceSet) -> Split:
    return split_identities(
        faces.labels,
        recipe.data.held_out,
        recipe.data.seed,
        smallest_class=recipe.data.smallest_class,
        use_unlabelled=bool(recipe.loss.teachers),
    )


def _plan_blends(recipe: Recipe, faces: FaceSet) -> BlendPlan:
    """Draw a recipe's blends of training pictures only; a face that is held out must not shine through any."""
    return plan_blends(_split(recipe, faces).train_rows, recipe.data.blends, recipe.data.seed)
