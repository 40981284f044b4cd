"""Measure a liveness check on pictures of living people and of attacks, in the words of ISO/IEC 30107-3.

Each picture is one presentation. --live names pictures of living people (bona fide), each --attack one species of
presentation attack instrument: printed photographs, a phone's screen, a mask. APCER is the share of a species' attacks
that pass for living, BPCER the share of living people taken for attacks; pictures without a face have no answer and are
counted apart (APNRR, BPNRR). Use your own camera: error rates do not carry over from one camera to another.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from qcface_sdk.camera.minifasnet import MiniFasNet
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_engine_options, add_json_option, fraction, open_engine
from qcface_sdk.cli.pictures import find_pictures, read_each
from qcface_sdk.cli.printing import print_json, print_table
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation.presentation_attack import (
    ErrorShare,
    PresentationFigures,
    judge_presentations,
    threshold_at_apcer,
)

_EXAMPLES = """\
  qcface eval liveness --network 2.7_80x80_MiniFASNetV2.onnx --network 4.0_MiniFASNetV1SE.onnx \\
    --live staff/ --attack print=prints/ --attack screen=phones/
  qcface eval liveness --network 2.7.onnx --live staff/ --attack print=prints/ --apcer 0.05 --json

--json prints {"check", "threshold", "bpcer": {"rate", "interval", "errors", "answered", "presentations",
"non_response_rate"}, "apcer": [{"name", ...}], "worst_species", "at_apcer": null or the same at the threshold that
--apcer needs on these pictures}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument(
        "--network",
        action="append",
        required=True,
        type=Path,
        metavar="ONNX",
        help="MiniFASNet file, its margin in its name; may be repeated",
    )
    parser.add_argument("--live", action="append", required=True, metavar="PICTURES", help="of living people")
    parser.add_argument(
        "--attack",
        action="append",
        required=True,
        type=_species,
        metavar="SPECIES=PICTURES",
        help="attacks of one species; may be repeated, also for one species",
    )
    parser.add_argument(
        "--threshold",
        type=fraction,
        default=0.5,
        metavar="SCORE",
        help="smallest score that counts as living (default: %(default)s)",
    )
    parser.add_argument(
        "--apcer", type=fraction, metavar="RATE", help="also give the threshold for that APCER, and the BPCER there"
    )
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Judge every picture and print the rates."""
    species: dict[str, list[str]] = {}
    for name, pictures in args.attack:
        species.setdefault(name, []).append(pictures)
    check = MiniFasNet(args.network, threshold=args.threshold, threads=args.threads)
    try:
        with open_engine(args) as engine:
            living = score_pictures(engine, check, args.live)
            attacks = {name: score_pictures(engine, check, pictures) for name, pictures in species.items()}
    finally:
        check.close()
    figures = judge_presentations(living, attacks, args.threshold)
    stricter = None
    if args.apcer is not None:
        stricter = judge_presentations(living, attacks, threshold_at_apcer(attacks, args.apcer))
    if args.json:
        document: dict[str, Any] = {"check": check.name, **figures.to_dict()}
        document["at_apcer"] = None if stricter is None else stricter.to_dict()
        print_json(document)
        return ExitCode.OK
    _print(check.name, figures)
    if stricter is not None:
        print(f"\nfor an APCER of at most {args.apcer:g} on these pictures:")
        _print(check.name, stricter)
    return ExitCode.OK


def score_pictures(engine: FaceEngine, check: MiniFasNet, pictures: list[str]) -> list[float]:
    """Return the score of the largest face of each picture; NaN where there is none.

    Raises
    ------
    ImageReadError
        If a picture cannot be read: a rate over what happened to be readable would be another rate.
    """
    scores = []
    for _, image in read_each(find_pictures(pictures)):
        if isinstance(image, InputError):
            raise image
        faces = engine.detect(image)
        scores.append(check.score(image, faces[0]) if faces else math.nan)
    return scores


def _species(text: str) -> tuple[str, str]:
    name, equals, pictures = text.partition("=")
    if not (name and equals and pictures):
        raise argparse.ArgumentTypeError(f"must be SPECIES=PICTURES, such as print=prints/, got {text!r}")
    return name, pictures


def _print(name: str, figures: PresentationFigures) -> None:
    print(f"{name}, living from a score of {figures.threshold:.4f}")
    rows = [_row("BPCER", "BPNRR", figures.bona_fide)]
    rows += [_row("APCER", "APNRR", share) for share in figures.attacks]
    print_table(("rate", "presentations", "errors", "%", "95 % interval", "no answer"), rows, right=(2, 3, 4))
    worst = figures.worst
    print(f"worst species: {worst.name}, APCER {_percent(worst.rate)}")


def _row(rate: str, silence: str, share: ErrorShare) -> tuple[str, ...]:
    low, high = share.interval
    return (
        f"{rate}, {share.name}",
        str(share.presentations),
        f"{share.errors} of {share.answered}",
        _percent(share.rate),
        f"{100 * low:.1f} to {100 * high:.1f}",
        f"{silence} {_percent(share.non_response_rate)}",
    )


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{100 * rate:.1f}"


COMMAND = Command(
    name="liveness",
    summary="measure a liveness check: APCER and BPCER (ISO/IEC 30107-3)",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
