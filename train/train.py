"""Train a recogniser from a recipe.

    python train/train.py train/configs/tiny.yaml --out ~/runs/tiny
    python train/train.py train/configs/edge.yaml --data DATA --out RUN [--minutes 90] [--resume | --init WEIGHTS]
    torchrun --nproc-per-node 8 train/train.py train/configs/paper_ir50_ms1mv3_identity.yaml --data DATA --out RUN

Checkpoint, log, curves and report go to RUN. ``RUN/control.json`` ({"steps": N, "norm_from": M}) changes the plan of a
running training. Ctrl-C finishes the step, writes a checkpoint and stops; --resume continues exactly.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_train.arguments import Recipe, RecipeError
from qcface_train.checkpoint import CheckpointError
from qcface_train.data import split_identities
from qcface_train.distributed import World, WorldError
from qcface_train.drawing import draw_faces
from qcface_train.ensemble import OnlineEnsemble, open_ensemble_targets
from qcface_train.faces import DataError, FaceSet
from qcface_train.loop import DivergedError, Trainer
from qcface_train.pixel_cache import open_cached, open_streamed
from qcface_train.sources.opening import open_source
from qcface_train.sources.pairs import PairSet, open_pairs

_SOURCE = Path(__file__).resolve().parents[1]
_SOURCE_FOLDERS = ("train", "sdk", "export", "native", "tests", "examples")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="YAML recipe")
    parser.add_argument("--data", type=Path, default=Path(), help="folder with the recipe's pictures and teachers/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run, outside the source tree")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/qcface/faces", help="folder for decoded pictures"
    )
    parser.add_argument("--minutes", type=float, help="time budget; replaces run.steps")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    start.add_argument(
        "--init",
        type=Path,
        metavar="WEIGHTS",
        help="begin with weights.pt of an earlier run, or with its checkpoint.pt to keep the class weights too",
    )
    return parser


def _open_data(recipe: Recipe, folder: Path, cache: Path) -> FaceSet:
    if recipe.data.drawn:
        return draw_faces(recipe.data.drawn, 16, recipe.data.seed)
    streamed = recipe.data.read == "stream"
    source = open_source(recipe.data.shards, folder, recipe.data.window, mixed=streamed)
    return open_streamed(source) if streamed else open_cached(source, cache)


def _open_pairs(recipe: Recipe, folder: Path) -> dict[str, PairSet]:
    found = {}
    for pattern in recipe.data.pairs:
        matches = sorted(folder.glob(pattern))
        if not matches:
            raise DataError(f"nothing in {folder} matches {pattern!r}; check the recipe's data.pairs and --data")
        found |= {path.stem: open_pairs(path) for path in matches}
    return found


def _open_trainer(arguments: argparse.Namespace, recipe: Recipe, world: World) -> Trainer:
    out = arguments.out.resolve()
    if any(out.is_relative_to(_SOURCE / name) for name in _SOURCE_FOLDERS):
        raise RecipeError(f"--out {arguments.out} lies inside the source tree; runs belong elsewhere, such as ~/runs")
    if world.rank > 0:
        world.wait()  # the first process builds the caches
    faces = _open_data(recipe, arguments.data, arguments.cache)
    targets: NDArray[np.float32] | None = None
    online = None
    names, teachers = recipe.loss.teachers, arguments.data / "teachers"
    if names and recipe.loss.teacher_sees == "clean":
        targets = open_ensemble_targets(faces, names, teachers, out, shown=world.is_first)
    if names and recipe.loss.teacher_sees == "augmented":
        online = OnlineEnsemble.open(faces, names, teachers, out, world.device)
    if world.rank == 0:
        world.wait()
    split = split_identities(
        faces.labels,
        recipe.data.held_out,
        recipe.data.seed,
        smallest_class=recipe.data.smallest_class,
        use_unlabelled=bool(names),
    )
    pairs = _open_pairs(recipe, arguments.data)
    trainer = Trainer(recipe, faces, split, targets, out, world=world, teacher=online, pairs=pairs)
    if arguments.resume:
        trainer.resume()
    elif arguments.init:
        trainer.start_from(arguments.init)
    return trainer


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 when the run ended, 1 for a named error, 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    # A shell starts background jobs with SIGINT ignored; a run is mostly a background job.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    world = World()
    trainer = None
    try:
        recipe = Recipe.from_yaml(arguments.recipe)
        world = World.open(recipe.run.device)
        level = logging.INFO if world.is_first else logging.ERROR
        logging.basicConfig(level=level, format="%(asctime)s %(message)s", stream=sys.stdout)
        trainer = _open_trainer(arguments, recipe, world)
        trainer.fit(arguments.minutes, shown=True)
    except KeyboardInterrupt:
        at = f"at step {trainer.step}; continue with --resume" if trainer else "before the first step"
        print(f"interrupted {at}", file=sys.stderr)
        return 130
    except (RecipeError, DataError, CheckpointError, WorldError, DivergedError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        world.close()
    if world.is_first:
        print(f"report: {arguments.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
