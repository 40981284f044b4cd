"""Options that several commands share, how their values are checked, and the engine they describe."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from qcface_sdk.engine import FaceEngine


def positive_int(text: str) -> int:
    """Parse a whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value


def positive_number(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def fraction(text: str) -> float:
    """Parse a number strictly between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text!r}")
    return value


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that choose the models and how they run."""
    group = parser.add_argument_group("engine")
    group.add_argument("--model", metavar="BUNDLE", help="model bundle, folder or .qcface file (default: the built-in)")
    group.add_argument(
        "--detector", metavar="ONNX", help="another detector with YuNet's outputs (default: the bundle's)"
    )
    group.add_argument(
        "--backend",
        default="auto",
        help="auto, gpu, onnxruntime, openvino, tensorrt, ... (default: %(default)s; see `qcface doctor`)",
    )
    group.add_argument("--precision", default="auto", help="auto, fp32, fp16, bf16, int8 or fp8 (default: %(default)s)")
    group.add_argument(
        "--calibration", metavar="FILE", help="thresholds and gates made by qcface calibrate (default: the bundle's)"
    )
    group.add_argument(
        "--threads", type=positive_int, default=1, metavar="N", help="CPU threads (default: %(default)s)"
    )
    group.add_argument(
        "--min-face",
        type=positive_number,
        default=40,
        metavar="PIXELS",
        help="shorter side of the smallest face to be found (default: %(default)s)",
    )


def add_picture_inputs(parser: argparse.ArgumentParser) -> None:
    """Declare the pictures to work on."""
    parser.add_argument(
        "pictures", nargs="+", metavar="PICTURE", help="files, folders (searched downwards) or quoted patterns"
    )


def add_fmr_option(parser: argparse.ArgumentParser, default: float = 1e-4) -> None:
    """Declare the false-match rate that fixes the threshold."""
    parser.add_argument(
        "--fmr",
        type=fraction,
        default=default,
        metavar="RATE",
        help="false-match rate of one comparison, which fixes the threshold (default: %(default)s)",
    )


def add_json_option(parser: argparse.ArgumentParser, shape: str) -> None:
    """Declare `--json`; `shape` says what is printed."""
    parser.add_argument("--json", action="store_true", help=f"print {shape} to standard output and nothing else")


def add_report_option(parser: argparse.ArgumentParser, shows: str) -> None:
    """Declare `--report`; `shows` says what is on the page."""
    parser.add_argument("--report", type=Path, metavar="FILE", help=f"also write a page (HTML): {shows}")


def add_output_option(parser: argparse.ArgumentParser) -> None:
    """Declare the folder for annotated pictures."""
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write annotated pictures (PNG) into this folder")


def open_engine(args: argparse.Namespace) -> FaceEngine:
    """Return the engine that the options of `add_engine_options` describe."""
    return FaceEngine(
        model=args.model,
        backend=args.backend,
        precision=args.precision,
        threads=args.threads,
        detector=args.detector,
        min_face=args.min_face,
        calibration=getattr(args, "calibration", None),
    )
