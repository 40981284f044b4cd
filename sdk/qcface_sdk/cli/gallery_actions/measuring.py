"""The action that measures a gallery of a given size."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from qcface_sdk.benchmark.galleries import measure_gallery
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.gallery_actions.action import Action
from qcface_sdk.cli.options import positive_int
from qcface_sdk.cli.printing import print_json, print_table


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=positive_int, default=100_000, metavar="N", help="people (default: %(default)s)")
    parser.add_argument(
        "--threads", type=positive_int, default=1, metavar="N", help="of a search (default: %(default)s)"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="keep the gallery here, 3.4 KB a person, for another run"
    )


def _bench(args: argparse.Namespace) -> ExitCode:
    if args.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure_gallery(args.rows, Path(folder), args.threads)
    else:
        args.folder.mkdir(parents=True, exist_ok=True)
        figures = measure_gallery(args.rows, args.folder, args.threads)
    values = figures.to_dict()
    if args.json:
        print_json(values)
    else:
        rows = [(name.replace("_", " "), "-" if value is None else f"{value:,.4g}") for name, value in values.items()]
        print_table(("figure", "value"), rows, right=(1,))
    return ExitCode.OK


ACTIONS = (
    Action(
        "bench",
        "measure a gallery of a given size",
        "Fill an encrypted gallery with random people, then measure filling, opening, memory and searching, beside a\n"
        "flat float32 faiss index of the same people. 1,000,000 people take 3.4 GB of disk and minutes to fill.",
        "  qcface gallery bench --rows 1000000 --folder bench --json\n",
        _add_bench,
        _bench,
    ),
)
