"""Say how recognizable each face is, from the length of its embedding, and why it is not more so.

Quality runs from 0 to 100 and falls as the expected rate of false rejections rises; faces below the bundle's gate are
marked "retry". The best face comes first. Reasons (blurred, too dark, turned away, ...) are what was measured in the
picture; they explain and decide nothing.

--output also writes contact sheets of the aligned faces, best first, and quality.html, a page with sheets and table.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode, worst_of
from qcface_sdk.cli.judged import COLUMNS, JudgedFace
from qcface_sdk.cli.options import (
    add_engine_options,
    add_json_option,
    add_picture_inputs,
    open_engine,
)
from qcface_sdk.cli.pictures import AnnotatedFolder, Image, find_pictures, read_each
from qcface_sdk.cli.printing import error_document, print_error, print_json_line, print_table
from qcface_sdk.cli.progress import Progress
from qcface_sdk.cli.quality_page import encode_crop, save_sheets, write_page
from qcface_sdk.drawing import annotate
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import InputError

_EXAMPLES = """\
  qcface quality badge.jpg
  qcface quality enrolment/ --csv quality.csv --output judged
  qcface quality visits/ --json | jq 'select(.quality < 30) | [.file, .advice[0]]'

--json prints one line per face, best first: {"file", "face", "usable", "quality", "recognizability", "magnitude",
"bbox", ..., "reasons", "advice"}, then {"file", "error"} for what could not be judged. Exit status 3 if a picture has
no face.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    add_picture_inputs(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write contact sheets (PNG), the page quality.html and annotated pictures (PNG) into this folder",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    add_json_option(parser, "one JSON object per face and line")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Judge the faces of each picture; print them sorted, best first."""
    paths = find_pictures(args.pictures)
    folder = None if args.output is None else AnnotatedFolder(args.output)
    judged: list[JudgedFace] = []
    failures: list[tuple[Path, InputError]] = []
    codes = []
    with open_engine(args) as engine, Progress(len(paths), "pictures") as bar:
        for path, image in read_each(paths):
            if isinstance(image, InputError):
                failures.append((path, image))
                codes.append(ExitCode.USAGE)
            else:
                found = _judge(engine, path, image, with_crops=folder is not None)
                judged += found
                if folder is not None:
                    folder.save(path, annotate(image, [one.face for one in found]))
                codes.append(ExitCode.OK if found else ExitCode.RETRY)
                if not found:
                    failures.append((path, InputError(f"{path} shows no face; take another picture")))
            bar.advance()
        gate = engine.probe_gate
    judged.sort(key=lambda one: -one.quality)
    if folder is not None:
        sheets = save_sheets(folder, judged)
        write_page(args.output / "quality.html", judged, [str(error) for _, error in failures], sheets, gate)
    if args.csv is not None:
        _write_csv(args.csv, judged)
    _report(judged, failures, as_json=args.json)
    return worst_of(codes)


def _judge(engine: FaceEngine, path: Path, image: Image, *, with_crops: bool) -> list[JudgedFace]:
    return [
        JudgedFace(
            path,
            number,
            face,
            (face.quality or 0.0) >= engine.retry_below,
            engine.assess(image, face),
            encode_crop(engine.align(image, face.kps)[0]) if with_crops else None,
        )
        for number, face in enumerate(engine.get(image), 1)
    ]


def _report(judged: Sequence[JudgedFace], failures: Sequence[tuple[Path, InputError]], *, as_json: bool) -> None:
    if as_json:
        for one in judged:
            print_json_line(one.to_dict())
        for path, error in failures:
            print_json_line({"file": str(path), "error": error_document(error)})
    elif judged:
        print_table(COLUMNS, [one.cells() for one in judged], right=range(1, 7))
    for _, error in failures:
        print_error(error)


def _write_csv(path: Path, judged: Sequence[JudgedFace]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(one.cells() for one in judged)


COMMAND = Command(
    name="quality",
    summary="say how recognizable each face is and why, best first",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
