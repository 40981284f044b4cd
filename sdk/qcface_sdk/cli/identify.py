"""Say who of a gallery is on a picture, or that it is nobody enrolled.

The largest face of each picture is searched (--all-faces: every one). --fpir names the share of strangers that a search
of this gallery may accept, whatever its size; --fmr the false-match rate of ONE comparison, at which a stranger is
accepted about N times as often among N enrolled people.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode, exit_code_of_outcome, worst_of
from qcface_sdk.cli.galleries import open_place, place
from qcface_sdk.cli.gallery_actions.arguments import add_key
from qcface_sdk.cli.options import (
    add_engine_options,
    add_json_option,
    add_output_option,
    add_picture_inputs,
    fraction,
    open_engine,
    positive_int,
)
from qcface_sdk.cli.pictures import AnnotatedFolder, Image, find_pictures, read_each
from qcface_sdk.cli.printing import error_document, number_or_dash, print_error, print_json_line
from qcface_sdk.cli.progress import Progress
from qcface_sdk.decision import Decision
from qcface_sdk.drawing import annotate
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import InputError
from qcface_sdk.gallery import Gallery
from qcface_sdk.results import Face, Identification, Outcome

_EXAMPLES = """\
  qcface identify staff.db door.jpg
  if qcface identify staff.db door.jpg --fpir 1e-2; then open-door; fi
  qcface identify staff.db visits/ --all-faces --json | jq -c '[.file, .subject]'

--json prints one line per face: {"file", "face", "quality", "bbox", "subject", "decision", "reason", "threshold",
"fmr", "fpir", "extrapolated", "contract", "candidates": [{"subject", "similarity"}], "advice"}, or {"file", "error"}.
"decision" is accept, retry or reject; "reason" lists why it is not a plain accept; "advice" lists what to change before
the next try, empty unless it is retry. A picture without a face gives one line with decision "retry". Exit status 0
only if every face searched was accepted.
"""


_DEFAULT_FMR = 1e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument(
        "gallery", type=place, metavar="GALLERY", help="gallery file or milvus://host:port/name, see qcface enroll"
    )
    add_picture_inputs(parser)
    rate = parser.add_mutually_exclusive_group()
    rate.add_argument(
        "--fmr",
        type=fraction,
        metavar="RATE",
        help="false-match rate of one comparison (default: 1e-4, without --fpir)",
    )
    rate.add_argument(
        "--fpir", type=fraction, metavar="RATE", help="share of strangers accepted by a search of this gallery"
    )
    parser.add_argument(
        "--extrapolate", action="store_true", help="let --fpir go beyond what was measured; the result says so"
    )
    add_key(parser)
    parser.add_argument("--top", type=positive_int, default=3, metavar="K", help="candidates (default: %(default)s)")
    parser.add_argument("--all-faces", action="store_true", help="search every face, not only the largest")
    add_output_option(parser)
    add_json_option(parser, "one JSON object per face and line")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Search the gallery for each picture's faces and print who it is."""
    paths = find_pictures(args.pictures)
    codes: list[ExitCode] = []
    with open_engine(args) as engine, open_place(args.gallery, engine=engine, key=args.key) as gallery:
        folder = None if args.output is None else AnnotatedFolder(args.output)
        with Progress(len(paths), "pictures", beside_output=True) as bar:
            for path, image in read_each(paths):
                if isinstance(image, InputError):
                    _print_unreadable(path, image, as_json=args.json)
                    codes.append(ExitCode.USAGE)
                else:
                    faces, results = _search(engine, gallery, image, args)
                    codes += [exit_code_of_outcome(result.decision) for result in results]
                    decisions = _decide(engine, image, faces, results)
                    _print_results(path, faces, results, decisions, as_json=args.json)
                    if folder is not None:
                        folder.save(path, _marked(image, faces, results))
                bar.advance()
    return worst_of(codes)


def _search(
    engine: FaceEngine, gallery: Gallery, image: Image, args: argparse.Namespace
) -> tuple[tuple[Face, ...], tuple[Identification, ...]]:
    found = engine.get(image)
    faces = found if args.all_faces else found[:1]
    probes: tuple[Face | None, ...] = faces or (None,)
    fmr = _DEFAULT_FMR if args.fmr is None and args.fpir is None else args.fmr
    results = gallery.identify_batch(probes, fmr=fmr, fpir=args.fpir, k=args.top, extrapolate=args.extrapolate)
    return faces, results


def _decide(
    engine: FaceEngine, image: Image, faces: tuple[Face, ...], results: tuple[Identification, ...]
) -> tuple[Decision, ...]:
    probes: tuple[Face | None, ...] = faces or (None,)
    decisions = []
    for probe, result in zip(probes, results, strict=True):
        # Only who has to try again is told what to change.
        report = None
        if probe is not None and result.decision is Outcome.RETRY:
            report = engine.assess(image, probe)
        decisions.append(Decision.of(result, probe, report))
    return tuple(decisions)


def _print_unreadable(path: Path, error: InputError, *, as_json: bool) -> None:
    print_error(error)
    if as_json:
        print_json_line({"file": str(path), "error": error_document(error)})


def _print_results(
    path: Path,
    faces: tuple[Face, ...],
    results: tuple[Identification, ...],
    decisions: tuple[Decision, ...],
    *,
    as_json: bool,
) -> None:
    shown: tuple[Face | None, ...] = faces or (None,)
    for number, (face, result, decision) in enumerate(zip(shown, results, decisions, strict=True), 1):
        if as_json:
            document: dict[str, Any] = {
                "file": str(path),
                "face": None if face is None else number,
                "quality": decision.quality,
                "bbox": None if face is None else [round(float(v), 2) for v in face.bbox],
            }
            print_json_line({**document, **result.to_dict(), "advice": list(decision.advice)})
            continue
        why = ", ".join(name.replace("_", " ") for name in decision.reason.names())
        who = decision.subject or f"nobody ({why})"
        print(f"{path}  {decision.outcome.value}  {who}  quality {number_or_dash(decision.quality, 0)}")
        if decision.advice:
            print(f"    advice: {'; '.join(decision.advice)}")
        for candidate in result.candidates:
            verdict = "" if candidate.similarity >= result.threshold else "  below threshold"
            print(f"    {candidate.similarity:7.4f}  {candidate.subject}{verdict}")


def _marked(image: Image, faces: tuple[Face, ...], results: tuple[Identification, ...]) -> Image:
    if not faces:
        return annotate(image, ())
    return annotate(
        image,
        faces,
        labels=[result.subject or result.decision.value for result in results],
        outcomes=[result.decision for result in results],
    )


COMMAND = Command(
    name="identify",
    summary="say who of a gallery is on a picture",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
