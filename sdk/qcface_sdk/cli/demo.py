"""Show the SDK at work on two public-domain photographs, on a camera, or on a video file. Needs no network.

Without --camera or --video: one person is enrolled from one photograph, then looked for in changed versions of it and
in a simulated walk towards a door; another person must be refused. Decisions are the engine's own at the false-match
rate asked for. Changed versions of one photograph are easier than a new photograph: this shows that everything works
together, it does not measure accuracy. With --output a contact sheet (PNG), a page (HTML) and the figures (JSON) are
written.

With --camera or --video: frames are searched for faces; with --gallery people are named. No window is opened.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2

from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.galleries import open_existing
from qcface_sdk.cli.options import (
    add_engine_options,
    add_fmr_option,
    add_json_option,
    open_engine,
    positive_int,
)
from qcface_sdk.cli.printing import number_or_dash, plural, print_error, print_json, print_json_line, print_table
from qcface_sdk.cli.progress import Progress
from qcface_sdk.demo.page import make_page
from qcface_sdk.demo.report import Report, Shot
from qcface_sdk.demo.scene import count_steps, run_demo
from qcface_sdk.demo.sheet import make_sheet
from qcface_sdk.demo.stream import StreamFrame, watch
from qcface_sdk.errors import OptionError

_EXAMPLES = """\
  qcface demo
  qcface demo --output demo            writes demo/demo.html, demo/contact_sheet.png, demo/demo.json
  qcface demo --camera 0 --frames 300 --output seen
  qcface demo --video visit.mp4 --gallery staff.db

--json prints the figures of the page as one JSON object; with --camera or --video one object per frame and line.
Exit status 1 if the enrolled photograph is not recognised or the stranger is accepted.
"""

_MIN_FACE = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write the sheet, the page or the frames here")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--camera", type=_camera_number, metavar="N", help="watch camera N, the first is 0")
    source.add_argument("--video", type=Path, metavar="FILE", help="watch a video file")
    parser.add_argument("--gallery", type=Path, metavar="GALLERY", help="name people, with --camera or --video")
    parser.add_argument(
        "--frames", type=positive_int, default=100, metavar="N", help="frames to watch (default: %(default)s)"
    )
    add_fmr_option(parser)
    add_json_option(parser, "JSON")
    add_engine_options(parser)
    parser.set_defaults(min_face=_MIN_FACE)


def run(args: argparse.Namespace) -> ExitCode:
    """Run the photographs' demo, or watch."""
    watching = args.camera is not None or args.video is not None
    if args.gallery is not None and not watching:
        raise OptionError("--gallery goes with --camera or --video; the photographs' demo makes its own")
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
    return _watch(args) if watching else _show(args)


def _camera_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a camera's number, the first is 0, got {text!r}")
    return int(text)


def _show(args: argparse.Namespace) -> ExitCode:
    with open_engine(args) as engine, Progress(count_steps(), "pictures") as bar:
        report = run_demo(engine, fmr=args.fmr, notify=bar.advance)
    written = [] if args.output is None else _write(args.output, report)
    if args.json:
        print_json(report.to_dict())
    else:
        _print_report(report)
        for file in written:
            print(f"wrote {file}")
    for problem in report.problems:
        print_error(problem)
    return ExitCode.REJECT if report.problems else ExitCode.OK


def _write(folder: Path, report: Report) -> list[Path]:
    sheet, page, figures = folder / "contact_sheet.png", folder / "demo.html", folder / "demo.json"
    sheet.write_bytes(cv2.imencode(".png", make_sheet(report))[1].tobytes())
    page.write_text(make_page(report), encoding="utf-8")
    figures.write_text(json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return [sheet, page, figures]


def _print_report(report: Report) -> None:
    print(
        f"{report.person} is enrolled, {report.stranger} is not. {report.engine['model']}, "
        f"threshold {report.threshold:.4f} at false-match rate {report.fmr:g}."
    )
    print()
    rows = [
        (shot.group, shot.name, shot.outcome.value, number_or_dash(shot.similarity, 3), *_face_cells(shot))
        for shot in report.shots
    ]
    print_table(("group", "picture", "decision", "similarity", "quality", "face px"), rows, right=(3, 4, 5))
    print()
    levels = range(len(report.curves[0].qualities))
    curves = [(curve.kind, *(f"{quality:.0f}" for quality in curve.qualities)) for curve in report.curves]
    print("Quality of the aligned face under rising damage, level 0 is the clean face:")
    print_table(("damage", *(str(level) for level in levels)), curves, right=range(1, len(levels) + 1))
    print()
    print("Changed versions of one photograph are easier than a new photograph; this is no measure of accuracy.")


def _face_cells(shot: Shot) -> tuple[str, str]:
    size = None if shot.face is None else shot.face.size
    return number_or_dash(shot.quality, 0), number_or_dash(size, 0)


def _watch(args: argparse.Namespace) -> ExitCode:
    source = args.camera if args.camera is not None else args.video
    seen = 0
    with open_engine(args) as engine:
        gallery = None
        if args.gallery is not None:
            gallery = open_existing(args.gallery, engine=engine)
        try:
            with Progress(args.frames, "frames", beside_output=True) as bar:
                for frame in watch(source, engine, frames=args.frames, gallery=gallery, fmr=args.fmr):
                    _print_frame(frame, as_json=args.json)
                    if args.output is not None:
                        file = args.output / f"frame_{frame.number:06d}.jpg"
                        file.write_bytes(cv2.imencode(".jpg", frame.annotated)[1].tobytes())
                    seen += bool(frame.faces)
                    bar.advance()
        finally:
            if gallery is not None:
                gallery.close()
    return ExitCode.OK if seen else ExitCode.RETRY


def _print_frame(frame: StreamFrame, *, as_json: bool) -> None:
    if as_json:
        print_json_line(frame.to_dict())
        return
    who = [result.subject or result.decision.value for result in frame.results]
    best = number_or_dash(max((face.quality or 0.0 for face in frame.faces), default=None), 0)
    names = f"  {', '.join(who)}" if who else ""
    print(
        f"frame {frame.number:>6}  {plural(len(frame.faces), 'face')}  best quality {best}  "
        f"{frame.milliseconds:.0f} ms{names}",
        flush=True,
    )


COMMAND = Command(
    name="demo",
    summary="enrol, recognise and refuse on two photographs; or watch a camera",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
