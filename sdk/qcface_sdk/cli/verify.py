"""Decide whether two pictures show the same person.

The largest face of each picture is compared. Accepted only if both faces pass the quality gate and their similarity
reaches the threshold that the bundle measured for the false-match rate asked for. A picture without a face, one too
poor to trust, or a similarity just below the threshold (reached at ten times the rate) means retry: it is never
accepted, and the advice says what to change in B.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode, exit_code_of_outcome
from qcface_sdk.cli.options import add_engine_options, add_fmr_option, add_json_option, add_output_option, open_engine
from qcface_sdk.cli.pictures import AnnotatedFolder, Image
from qcface_sdk.cli.printing import number_or_dash, print_json
from qcface_sdk.decision import Decision
from qcface_sdk.drawing import annotate
from qcface_sdk.engine import FaceEngine
from qcface_sdk.image import read_image
from qcface_sdk.results import Face, Match

_EXAMPLES = """\
  qcface verify badge.jpg door.jpg
  if qcface verify badge.jpg door.jpg --fmr 1e-5; then open-door; fi
  qcface verify badge.jpg door.jpg --json | jq .similarity

--json prints {"file_a", "file_b", "faces_a", "faces_b", "similarity", "threshold", "fmr", "decision", "reason",
"quality_a", "quality_b", "contract", "advice"}: "decision" is accept, retry or reject; "reason" lists why it is not a
plain accept; "advice" lists what to change before the next try, empty unless it is retry. Exit status 0 accept, 1
reject, 3 retry.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("picture_a", type=Path, metavar="A", help="one picture, such as the badge photograph")
    parser.add_argument("picture_b", type=Path, metavar="B", help="the other picture, such as the camera's")
    add_fmr_option(parser)
    add_output_option(parser)
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Compare the largest faces of two pictures and print the decision."""
    image_a, image_b = read_image(args.picture_a), read_image(args.picture_b)
    with open_engine(args) as engine:
        faces_a, faces_b = engine.get_batch([image_a, image_b])
        face_a, face_b = next(iter(faces_a), None), next(iter(faces_b), None)
        match = engine.verify(face_a, face_b, fmr=args.fmr)
        decision = _decide(engine, face_a, face_b, image_b, args.fmr)
    if args.output is not None:
        folder = AnnotatedFolder(args.output)
        for path, image, faces in ((args.picture_a, image_a, faces_a), (args.picture_b, image_b, faces_b)):
            folder.save(path, _marked(image, faces, match))
    if args.json:
        files = {"file_a": str(args.picture_a), "file_b": str(args.picture_b)}
        found = {"faces_a": len(faces_a), "faces_b": len(faces_b)}
        print_json({**files, **found, **match.to_dict(), "advice": list(decision.advice)})
    else:
        _print_match(match, decision)
    return exit_code_of_outcome(decision.outcome)


def _decide(engine: FaceEngine, face_a: Face | None, face_b: Face | None, image_b: Image, fmr: float) -> Decision:
    # The advice is for whoever stands in front of the camera: B, whose face comes first here.
    report = None if face_b is None else engine.assess(image_b, face_b)
    return Decision.of(engine.verify(face_b, face_a, fmr=fmr), report=report)


def _marked(image: Image, faces: tuple[Face, ...], match: Match) -> Image:
    return annotate(
        image,
        faces[:1],
        labels=[f"{match.decision.value} {match.similarity:.3f}" for _ in faces[:1]],
        outcomes=[match.decision for _ in faces[:1]],
    )


def _print_match(match: Match, decision: Decision) -> None:
    why = ", ".join(name.replace("_", " ") for name in match.reason.names())
    print(f"{decision.outcome.value}{f'  ({why})' if why else ''}")
    if decision.advice:
        print(f"advice      {'; '.join(decision.advice)}")
    print(f"similarity  {match.similarity:.4f}  threshold {match.threshold:.4f} at false-match rate {match.fmr:g}")
    print(f"quality     {number_or_dash(match.quality_a, 0)} and {number_or_dash(match.quality_b, 0)} of 100")


COMMAND = Command(
    name="verify",
    summary="decide whether two pictures show the same person",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
