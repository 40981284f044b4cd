"""Train a recogniser from a recipe.

    python train/train.py train/configs/edge.yaml --data DATA --out RUN [--minutes 90] [--resume | --init WEIGHTS]

Checkpoint, log and control file go to RUN. ``RUN/control.json`` ({"steps": N, "norm_from": M}) changes the plan of a
running training. Ctrl-C writes a checkpoint and stops; --resume continues exactly.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from qcface_train.arguments import Recipe, RecipeError
from qcface_train.checkpoint import CheckpointError
from qcface_train.data import split_identities
from qcface_train.drawing import draw_faces
from qcface_train.faces import DataError, FaceSet
from qcface_train.loop import DivergedError, Trainer
from qcface_train.pixel_cache import open_cached, open_streamed
from qcface_train.sources.opening import open_source
from qcface_train.teacher import open_targets


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="YAML recipe")
    parser.add_argument("--data", type=Path, default=Path(), help="folder with the recipe's shards and teachers/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run, outside the source tree")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/qcface/faces", help="folder for decoded pictures"
    )
    parser.add_argument("--minutes", type=float, help="time budget; replaces run.steps")
    start = parser.add_mutually_exclusive_group()
    start.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    start.add_argument("--init", type=Path, metavar="WEIGHTS", help="begin with the weights.pt of an earlier run")
    return parser


def _open_data(recipe: Recipe, folder: Path, cache: Path) -> FaceSet:
    if recipe.data.drawn:
        return draw_faces(recipe.data.drawn, 16, recipe.data.seed)
    streamed = recipe.data.read == "stream"
    source = open_source(recipe.data.shards, folder, recipe.data.window, mixed=streamed)
    return open_streamed(source) if streamed else open_cached(source, cache)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 when the run ended, 1 for a named error, 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    # A shell starts background jobs with SIGINT ignored; a run is mostly a background job.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    try:
        recipe = Recipe.from_yaml(arguments.recipe)
        faces = _open_data(recipe, arguments.data, arguments.cache)
        split = split_identities(
            faces.labels,
            recipe.data.held_out,
            recipe.data.seed,
            smallest_class=recipe.data.smallest_class,
            use_unlabelled=bool(recipe.loss.teacher),
        )
        targets = None
        if recipe.loss.teacher:
            targets = open_targets(faces, [recipe.loss.teacher], arguments.data / "teachers")[0]
        trainer = Trainer(recipe, faces, split, targets, arguments.out)
        if arguments.resume:
            trainer.resume()
        elif arguments.init:
            trainer.start_from(arguments.init)
    except (RecipeError, DataError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        trainer.fit(arguments.minutes)
    except KeyboardInterrupt:
        trainer.save()
        print(f"interrupted at step {trainer.step}; continue with --resume", file=sys.stderr)
        return 130
    except (DivergedError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
