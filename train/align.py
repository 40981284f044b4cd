"""Make training crops of photographs: find the one face of each, align it, write it without loss.

Example: python train/align.py PHOTOS --out DATA/crops
PHOTOS holds IDENTITY/picture.jpg, one folder a person; DATA/crops will hold IDENTITY/picture.jpg.png, 112 x 112 pixels.
Photographs without a face, with several or with a small one are left out, named and counted. Crops that are there from
an earlier time are kept, so that a stopped command goes on. Exit status 1: nothing came of it.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from qcface_sdk import FaceEngine
from qcface_sdk.errors import QCFaceError
from qcface_train.aligning import align_photographs
from qcface_train.faces import DataError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, metavar="PHOTOS", help="folder of IDENTITY/picture.jpg")
    parser.add_argument("--out", type=Path, required=True, metavar="CROPS", help="folder for the crops")
    parser.add_argument("--min-face", type=float, default=40.0, help="least width of a face, pixels (%(default)s)")
    parser.add_argument("--model", type=Path, metavar="BUNDLE", help="bundle whose detector to use (default: shipped)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with FaceEngine(arguments.model, min_face=arguments.min_face) as engine:
            done = align_photographs(arguments.photographs, arguments.out, engine, smallest=arguments.min_face)
    except (QCFaceError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    reasons = ", ".join(f"{count} {reason}" for reason, count in done.left_out.items())
    print(f"{done.written} crops written, {done.kept} kept, left out: {reasons or 'none'}")
    return 0 if done.written or done.kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
