"""Find the faces of pictures: box, five points and score of each, largest first, without embedding them."""

from __future__ import annotations

import argparse
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
from qcface_sdk.cli.pictures import AnnotatedFolder, Image, find_pictures, read_each
from qcface_sdk.cli.printing import error_document, plural, print_error, print_json_line
from qcface_sdk.cli.progress import Progress
from qcface_sdk.drawing import annotate
from qcface_sdk.errors import InputError
from qcface_sdk.results import Face

_EXAMPLES = """\
  qcface detect door.jpg
  qcface detect photos/ 'more/**/*.png' --min-face 24 --output marked
  qcface detect photos/ --json | jq .faces[].bbox

--json prints one line per picture: {"file", "width", "height", "faces": [{"bbox", "kps", "det_score", ...}]},
or {"file", "error"}. Exit status 3 if no picture has a face.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    add_picture_inputs(parser)
    add_output_option(parser)
    add_json_option(parser, "one JSON object per picture and line")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Find the faces of each picture, print them, and mark them on copies."""
    paths = find_pictures(args.pictures)
    folder = None if args.output is None else AnnotatedFolder(args.output)
    codes = []
    with open_engine(args) as engine, Progress(len(paths), "pictures", beside_output=True) as bar:
        for path, image in read_each(paths):
            if isinstance(image, InputError):
                _print_unreadable(path, image, as_json=args.json)
                codes.append(ExitCode.USAGE)
            else:
                faces = engine.detect(image)
                _print_faces(path, image, faces, as_json=args.json)
                if folder is not None:
                    folder.save(path, annotate(image, faces))
                # One face somewhere is what was looked for; only none at all is worth a status of its own.
                codes.append(ExitCode.OK if faces else ExitCode.RETRY)
            bar.advance()
    if ExitCode.OK in codes:
        codes = [code for code in codes if code is not ExitCode.RETRY]
    return worst_of(codes)


def _print_unreadable(path: Path, error: InputError, *, as_json: bool) -> None:
    print_error(error)
    if as_json:
        print_json_line({"file": str(path), "error": error_document(error)})


def _print_faces(path: Path, image: Image, faces: tuple[Face, ...], *, as_json: bool) -> None:
    height, width = image.shape[:2]
    if as_json:
        document: dict[str, Any] = {"file": str(path), "width": width, "height": height}
        print_json_line({**document, "faces": [face.to_dict() for face in faces]})
        return
    print(f"{path}  {width} x {height}  {plural(len(faces), 'face')}")
    for number, face in enumerate(faces, 1):
        x1, y1, x2, y2 = face.bbox
        print(
            f"  {number:>2}  box {x1:.0f},{y1:.0f} to {x2:.0f},{y2:.0f}  "
            f"{x2 - x1:.0f} x {y2 - y1:.0f} px  score {face.det_score:.2f}"
        )


COMMAND = Command(
    name="detect",
    summary="find faces: boxes, points, scores",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
