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

from qcface_train.arguments import Recipe, RecipeError
from qcface_train.checkpoint import CheckpointError
from qcface_train.distributed import World, WorldError
from qcface_train.faces import DataError
from qcface_train.loop import DivergedError, Trainer
from qcface_train.opening import open_trainer

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


def _open_trainer(arguments: argparse.Namespace, recipe: Recipe, world: World) -> Trainer:
    out = arguments.out.resolve()
    if any(out.is_relative_to(_SOURCE / name) for name in _SOURCE_FOLDERS):
        raise RecipeError(f"--out {arguments.out} lies inside the source tree; runs belong elsewhere, such as ~/runs")
    if (out / "checkpoint.pt").exists() and not arguments.resume:
        raise RecipeError(
            f"--out {arguments.out} holds the checkpoint of a run, which a new one would overwrite; give --resume to "
            "continue it, or another --out"
        )
    before = out / "checkpoint.pt" if arguments.resume else arguments.init
    trainer = open_trainer(recipe, arguments.data, arguments.cache, out, world, before=before)
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
    except (RecipeError, DataError, CheckpointError, WorldError, DivergedError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        world.close()
    if world.is_first:
        print(f"report: {arguments.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
