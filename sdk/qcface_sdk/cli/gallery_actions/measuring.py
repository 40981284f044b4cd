"""The action that measures a gallery of a given size."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from qcface_sdk.benchmark.galleries import GalleryFigures, measure_gallery
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.gallery_actions.bench_page import ROWS, render
from qcface_sdk.cli.options import add_json_option, add_report_option, positive_int
from qcface_sdk.cli.printing import print_json, print_table
from qcface_sdk.cli.progress import Progress


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=positive_int, default=100_000, metavar="N", help="people (default: %(default)s)")
    parser.add_argument(
        "--threads", type=positive_int, default=1, metavar="N", help="of a search (default: %(default)s)"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="FOLDER", help="keep the gallery here, 3.4 KB a person, for another run"
    )
    add_report_option(parser, "the figures and what they mean for other sizes")
    add_json_option(parser, "one JSON object")


def _bench(args: argparse.Namespace) -> ExitCode:
    if args.folder is None:
        with tempfile.TemporaryDirectory() as folder:
            figures = _measured(args, Path(folder))
    else:
        args.folder.mkdir(parents=True, exist_ok=True)
        figures = _measured(args, args.folder)
    if args.report is not None:
        args.report.write_text(render(figures), encoding="utf-8")
    if args.json:
        print_json(figures.to_dict())
    else:
        print_table(
            ("figure", "measured", "unit"), [(row.name, row.value(figures), row.unit) for row in ROWS], right=(1,)
        )
    return ExitCode.OK


def _measured(args: argparse.Namespace, folder: Path) -> GalleryFigures:
    with Progress(args.rows, "people filled in") as bar:
        return measure_gallery(args.rows, folder, args.threads, bar.advance)


ACTIONS = (
    Command(
        "bench",
        "measure a gallery of a given size",
        "Fill an encrypted gallery with random people, then measure filling, opening, memory and searching, beside a\n"
        "flat float32 faiss index of the same people. 1,000,000 people take 3.4 GB of disk and minutes to fill.\n"
        "With one thread opening and searching are processor time, which other programs hardly disturb; the load of\n"
        "the machine is noted all the same.",
        "  qcface gallery bench --rows 10000 --report bench.html\n"
        "  qcface gallery bench --rows 1000000 --folder bench --json\n",
        _add_bench,
        _bench,
    ),
)
