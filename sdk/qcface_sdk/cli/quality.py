"""Say how recognizable each face is, from the length of its embedding.

Quality runs from 0 to 100 and falls as the expected rate of false rejections rises; faces below the bundle's gate are
marked "retry". The best face comes first.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode, worst_of
from qcface_sdk.cli.options import (
    add_engine_options,
    add_json_option,
    add_output_option,
    add_picture_inputs,
    open_engine,
)
from qcface_sdk.cli.pictures import AnnotatedFolder, find_pictures, read_each
from qcface_sdk.cli.printing import error_document, print_error, print_json_line, print_table
from qcface_sdk.cli.progress import Progress
from qcface_sdk.drawing import annotate
from qcface_sdk.errors import InputError
from qcface_sdk.results import Face

_EXAMPLES = """\
  qcface quality badge.jpg
  qcface quality enrolment/ --csv quality.csv --output marked
  qcface quality visits/ --json | jq 'select(.quality < 30) | .file'

--json prints one line per face, best first: {"file", "face", "usable", "quality", "recognizability", "magnitude",
"bbox", ...}, then {"file", "error"} for what could not be judged. Exit status 3 if a picture has no face.
"""
_COLUMNS = ("file", "face", "quality", "recognizability", "magnitude", "size", "det_score", "usable")


@dataclass(frozen=True, slots=True)
class _Row:
    file: Path
    number: int
    face: Face
    usable: bool

    @property
    def quality(self) -> float:
        return self.face.quality or 0.0

    def to_dict(self) -> dict[str, Any]:
        return {"file": str(self.file), "face": self.number, "usable": self.usable, **self.face.to_dict()}

    def cells(self) -> tuple[str, ...]:
        face = self.face
        return (
            str(self.file),
            str(self.number),
            f"{self.quality:.1f}",
            f"{face.recognizability or 0.0:.4f}",
            f"{face.magnitude or 0.0:.2f}",
            f"{face.size:.0f}",
            f"{face.det_score:.2f}",
            "yes" if self.usable else "retry",
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    add_picture_inputs(parser)
    add_output_option(parser)
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table as CSV")
    add_json_option(parser, "one JSON object per face and line")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Judge the faces of each picture; print them sorted, best first."""
    paths = find_pictures(args.pictures)
    folder = None if args.output is None else AnnotatedFolder(args.output)
    rows: list[_Row] = []
    failures: list[tuple[Path, InputError]] = []
    codes = []
    with open_engine(args) as engine, Progress(len(paths), "pictures") as bar:
        for path, image in read_each(paths):
            if isinstance(image, InputError):
                failures.append((path, image))
                codes.append(ExitCode.USAGE)
            else:
                faces = engine.get(image)
                rows += [
                    _Row(path, number, face, (face.quality or 0.0) >= engine.retry_below)
                    for number, face in enumerate(faces, 1)
                ]
                if folder is not None:
                    folder.save(path, annotate(image, faces))
                codes.append(ExitCode.OK if faces else ExitCode.RETRY)
                if not faces:
                    failures.append((path, InputError(f"{path} shows no face; take another picture")))
            bar.advance()
    rows.sort(key=lambda row: -row.quality)
    _report(rows, failures, as_json=args.json)
    if args.csv is not None:
        _write_csv(args.csv, rows)
    return worst_of(codes)


def _report(rows: list[_Row], failures: list[tuple[Path, InputError]], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            print_json_line(row.to_dict())
        for path, error in failures:
            print_json_line({"file": str(path), "error": error_document(error)})
    elif rows:
        print_table(_COLUMNS, [row.cells() for row in rows], right=range(1, 7))
    for _, error in failures:
        print_error(error)


def _write_csv(path: Path, rows: list[_Row]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        writer.writerows(row.cells() for row in rows)


COMMAND = Command(
    name="quality",
    summary="say how recognizable each face is, best first",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
