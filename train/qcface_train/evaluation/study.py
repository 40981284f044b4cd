"""What the scripts that study a bundle's decisions on LFW share: their arguments, and how they write their figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qcface_sdk.errors import QCFaceError

Figures = dict[str, Any]
"""Figures by name, ready for JSON."""


def study_parser(description: str | None, *, replicates: int) -> argparse.ArgumentParser:
    """Return a parser of bundle, data, output and budget; `replicates` is the default number of bootstrap resamples."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, metavar="BUNDLE", help="bundle folder or .qcface file")
    parser.add_argument(
        "--lfw", type=Path, required=True, help="tar or folder of Name/Name_0001.webp, with pairs.txt beside it"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="where the figures go")
    parser.add_argument("--replicates", type=int, default=replicates, help="bootstrap resamples (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the network (default: %(default)s)")
    return parser


def run_study(
    parser: argparse.ArgumentParser,
    measure: Callable[[argparse.Namespace], Figures],
    to_markdown: Callable[[Figures], str],
    name: str,
    argv: Sequence[str] | None = None,
) -> int:
    """Measure, write ``name.json`` and ``name.md`` into the output folder and print the tables.

    Returns
    -------
    int
        0, or 1 with one sentence on the standard error if model or data cannot be used; nothing is written then.
    """
    args = parser.parse_args(argv)
    try:
        figures = measure(args)
        tables = to_markdown(figures)
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (args.output / f"{name}.md").write_text(tables, encoding="utf-8")
    except (QCFaceError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(tables)
    return 0
