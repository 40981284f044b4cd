"""Compare all backbones by parameters, multiply-adds and time on one thread, in float and in 8 bits.

    python export/compare_backbones.py --output backbones.md
    python export/compare_backbones.py --train train/configs/backbones.yaml --data DATA --out RUN --output backbones.md

Times are fastest / median / processor time, in ms, of one picture; weights are fresh. With other work on the machine
only the fastest and the processor time say something.

With --train each network is also trained on equal pictures in equal order for an equal number of pictures, and measured
on the identities that the recipe holds out. A stopped comparison goes on where it was: the same command resumes the
unfinished training and repeats no finished one. Exit status 130: interrupted.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_ROOT / "export"), str(_ROOT / "train")]

from qcface_export.backbone_comparison import CANDIDATES, RUNTIMES, compare_backbone, markdown_table  # noqa: E402
from qcface_export.backbone_training import further_columns, train_backbone, with_budget  # noqa: E402
from qcface_export.errors import CalibrationError, ExportError  # noqa: E402
from qcface_sdk.errors import QCFaceError  # noqa: E402
from qcface_train.arguments import Recipe, RecipeError  # noqa: E402
from qcface_train.checkpoint import CheckpointError  # noqa: E402
from qcface_train.faces import DataError  # noqa: E402
from qcface_train.loop import DivergedError  # noqa: E402

_ERRORS = (CalibrationError, ExportError, QCFaceError, RecipeError, DataError, CheckpointError, DivergedError, OSError)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=tuple(CANDIDATES), metavar="NAME", help="some networks only")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, help="runtimes (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=50, help="timed runs of each (default: %(default)s)")
    parser.add_argument("--no-int8", action="store_true", help="leave out the 8-bit files")
    parser.add_argument("--output", type=Path, help="also write the table here, as Markdown")
    training = parser.add_argument_group("training at equal budget")
    training.add_argument("--train", type=Path, metavar="RECIPE", help="train each network with this recipe, too")
    training.add_argument("--data", type=Path, default=Path(), help="folder with the recipe's pictures and teachers/")
    training.add_argument("--out", type=Path, metavar="RUN", help="folder of the runs; needed with --train")
    training.add_argument("--pictures", type=int, help="pictures each network sees; replaces the recipe's steps")
    training.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache/qcface/faces", help="folder for decoded pictures"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; exit status 1 where a network cannot be exported, timed or trained."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.train and not options.out:
        parser.error("--train needs --out, a folder for the runs")
    names = options.only or tuple(CANDIDATES)
    rows, further = [], {}
    try:
        if options.train:
            further = _train(options, names)
        for name in names:
            rows.append(
                compare_backbone(
                    name, int8=not options.no_int8, repeats=options.repeats, runtimes=tuple(options.runtimes)
                )
            )
            print(f"{name}: timed", file=sys.stderr)
        table = markdown_table(rows, further)
        if options.output:
            options.output.write_text(table + "\n", encoding="utf-8")
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    except _ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table)
    return 0


def _train(options: argparse.Namespace, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Train all networks; return the columns of each."""
    # A shell starts background jobs with SIGINT ignored.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    recipe = Recipe.from_yaml(options.train)
    recipe = with_budget(recipe, options.pictures or recipe.run.steps * recipe.run.batch)
    columns = {}
    for name in names:
        trained = train_backbone(name, recipe, options.data, options.cache, options.out)
        columns[name] = further_columns(trained)
        print(f"{name}: trained, {columns[name]}", file=sys.stderr)
    return columns


if __name__ == "__main__":
    raise SystemExit(main())
