"""Train several losses with equal network, data and number of steps, several seeds each, and compare them on LFW.

    python train/ablate.py train/configs/ablation.yaml --data DATA --lfw DATA/lfw --out ~/runs/ablation
    python train/ablate.py train/configs/ablation_frozen.yaml --frozen NETWORK --data DATA --lfw DATA/lfw --out RUN

With --frozen only two layers are trained, over the outputs of an ONNX network that stays as it is.

A stopped ablation goes on where it was: finished runs are not repeated, an unfinished one is resumed. After each run
OUT/ablation.json and OUT/ablation.md hold what is there so far.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from qcface_sdk.errors import QCFaceError
from qcface_train.ablation.arms import ARMS, DEFAULT_ARMS
from qcface_train.ablation.features import open_features
from qcface_train.ablation.figures import Figures, markdown_table, summarise
from qcface_train.ablation.runs import FrozenRun, Run, WholeRun, run_arm
from qcface_train.arguments import Recipe, RecipeError
from qcface_train.checkpoint import CheckpointError
from qcface_train.evaluation.lfw import read_lfw
from qcface_train.faces import DataError
from qcface_train.loop import DivergedError
from qcface_train.opening import open_faces
from qcface_train.teacher import open_targets


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="YAML recipe of what all arms share")
    parser.add_argument("--data", type=Path, default=Path(), help="folder with the recipe's shards and teachers/")
    parser.add_argument("--lfw", type=Path, required=True, help="tar or folder of LFW, to measure on")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs, outside the source tree")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/qcface/faces", help="folder for decoded pictures"
    )
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=DEFAULT_ARMS, metavar="ARM")
    parser.add_argument("--seeds", nargs="+", type=int, default=(1, 2, 3))
    parser.add_argument("--steps", type=int, help="steps of each run; replaces the recipe's")
    parser.add_argument("--warm-steps", type=int, default=0, help="steps of distillation before the arms part")
    parser.add_argument("--frozen", type=Path, metavar="ONNX", help="train two layers over this network's outputs")
    parser.add_argument("--pictures", type=int, default=14000, help="training pictures with --frozen (%(default)s)")
    parser.add_argument("--ladder-faces", type=int, default=60, help="faces to damage (default: %(default)s)")
    return parser


def _open_run(arguments: argparse.Namespace, recipe: Recipe) -> tuple[Run, str]:
    """Return what trains and measures one recipe, and what its results depend on beside the recipe."""
    faces = open_faces(recipe, arguments.data, arguments.cache)
    test = read_lfw(arguments.lfw)
    if arguments.frozen:
        features = open_features(
            arguments.frozen,
            recipe,
            faces,
            test,
            arguments.out,
            pictures=arguments.pictures,
            ladder=arguments.ladder_faces,
        )
        return FrozenRun(features, test), f"frozen {len(features.train)} {arguments.ladder_faces}"
    targets = None
    if recipe.loss.teacher:
        targets = open_targets(faces, [recipe.loss.teacher], arguments.data / "teachers")[0]
    elif arguments.warm_steps:
        raise RecipeError("--warm-steps distil from loss.teacher; name one in the recipe, or leave them out")
    warm = arguments.out / "warm"
    run = WholeRun(faces, targets, test, warm, arguments.warm_steps, arguments.ladder_faces)
    return run, f"whole {arguments.warm_steps} {arguments.ladder_faces}"


def _write(folder: Path, results: list[Figures], command: list[str]) -> None:
    arms = summarise(results)
    content = {"command": command, "arms": arms, "runs": results}
    (folder / "ablation.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "ablation.md").write_text(markdown_table(arms) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run the command line; 0 when all runs are done, 1 for a named error, 130 when interrupted."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
    command = ["train/ablate.py", *(sys.argv[1:] if argv is None else argv)]
    results: list[Figures] = []
    try:
        recipe = Recipe.from_yaml(arguments.recipe)
        if arguments.steps:
            recipe = dataclasses.replace(recipe, run=dataclasses.replace(recipe.run, steps=arguments.steps))
        arguments.out.mkdir(parents=True, exist_ok=True)
        run, kind = _open_run(arguments, recipe)
        # Seed by seed: a stopped ablation has whole rounds, not some arms alone.
        for seed in arguments.seeds:
            for arm in arguments.arms:
                results.append(run_arm(recipe, arm, seed, arguments.out, run, kind))
                _write(arguments.out, results, command)
    except KeyboardInterrupt:
        print(f"interrupted after {len(results)} runs; the same command goes on", file=sys.stderr)
        return 130
    except (RecipeError, DataError, CheckpointError, DivergedError, QCFaceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(markdown_table(summarise(results)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
