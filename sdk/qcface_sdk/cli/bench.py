"""Time every stage from a picture to a decision, and the native kernels against their usual alternatives.

All figures of one table come from one run on this machine, one after the other: medians for the stages, the fastest
run for both sides of a kernel's comparison. Compare figures of one
table, never of two machines or two runs. Without --quick the kernels' gallery takes up to 4.5 GB of memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.benchmark.door import DoorFigures, measure_door
from qcface_sdk.benchmark.kernels import Comparison, compare_kernels
from qcface_sdk.benchmark.stages import Stage, measure_stages
from qcface_sdk.benchmark.walk import Walk
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.options import add_engine_options, add_json_option, open_engine
from qcface_sdk.cli.printing import number_or_dash, print_json, print_table
from qcface_sdk.image import read_image

_QUICK_WALK = Walk(repeats=1, seconds=3.0, pause=0.5)

_EXAMPLES = """\
  qcface bench --quick
  qcface bench door.jpg --backend openvino --threads 4 --min-face 60
  qcface bench --only door
  qcface bench --only stages --json | jq '.stages[] | {name, median_ms}'

--json prints {"engine": {...}, "stages": [{"name", "what", "median_ms", "p90_ms", "runs"}], "kernels":
[{"name", "ours_ms", "reference", "reference_ms", "ratio", "target", "note"}], "door": null or {"stream", "frames",
"dropped", "walks", "accepts", "cpu_share", "accept_ms", "latency_p99_ms", "event_ms"}}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("picture", nargs="?", type=Path, metavar="PICTURE", help="default: a drawn 1920 x 1080 frame")
    parser.add_argument("--quick", action="store_true", help="fewer runs, smaller galleries")
    parser.add_argument(
        "--only",
        choices=("stages", "kernels", "door"),
        help="only one table; door plays a 1080p camera for 20 s and is measured only when asked for",
    )
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Measure, then print the tables."""
    picture = None if args.picture is None else read_image(args.picture)
    stages: tuple[Stage, ...] = ()
    kernels: tuple[Comparison, ...] = ()
    with open_engine(args) as engine:
        settings = {
            "model": f"{engine.bundle.manifest.name} {engine.bundle.manifest.version}",
            "backend": engine.backend,
            "precision": engine.precision,
            "threads": args.threads,
            "min_face": args.min_face,
        }
        door = measure_door(engine, walk=_QUICK_WALK if args.quick else None) if args.only == "door" else None
        if args.only in (None, "stages"):
            stages = measure_stages(
                engine,
                min_face=args.min_face,
                threads=args.threads,
                detector=args.detector,
                picture=picture,
                quick=args.quick,
            )
    if args.only in (None, "kernels"):
        kernels = compare_kernels(args.quick)
    if args.json:
        print_json(
            {
                "engine": settings,
                "stages": [stage.to_dict() for stage in stages],
                "kernels": [comparison.to_dict() for comparison in kernels],
                "door": None if door is None else door.to_dict(),
            }
        )
    else:
        print(", ".join(f"{name} {value}" for name, value in settings.items()))
        _print_stages(stages)
        _print_kernels(kernels)
        _print_door(door)
    return ExitCode.OK


def _print_stages(stages: tuple[Stage, ...]) -> None:
    if stages:
        rows = [(s.name, s.what, f"{s.median_ms:.3f}", f"{s.p90_ms:.3f}", str(s.runs)) for s in stages]
        print()
        print_table(("stage", "on", "median ms", "p90 ms", "runs"), rows, right=(2, 3, 4))


def _print_kernels(kernels: tuple[Comparison, ...]) -> None:
    if not kernels:
        return
    rows = [
        (
            row.name,
            f"{row.ours_ms:.3f}",
            row.reference,
            number_or_dash(row.reference_ms, 3),
            number_or_dash(row.ratio, 3),
            number_or_dash(row.target, 3),
            row.note,
        )
        for row in kernels
    ]
    print()
    print_table(("kernel", "ours ms", "against", "its ms", "ratio", "target", "note"), rows, right=(1, 3, 4, 5))


def _print_door(door: DoorFigures | None) -> None:
    if door is None:
        return
    rows = [
        ("pictures looked at (dropped)", f"{door.frames} ({door.dropped})", "-"),
        ("walks accepted", f"{door.accepts} of {door.walks}", "all"),
        ("CPU, share of two cores", f"{100 * door.cpu_share:.0f} %", "at most 60 %"),
        ("smallest face to accept, slowest", f"{door.accept_ms:.0f} ms", "at most 700 ms"),
        ("picture to end of processing, p99", f"{door.latency_p99_ms:.0f} ms", "at most 150 ms"),
        ("picture to event, slowest", f"{door.event_ms:.0f} ms", "-"),
    ]
    print()
    print_table((f"door: {door.stream}", "measured", "goal"), rows, right=(1, 2))


COMMAND = Command(
    name="bench",
    summary="time every stage and the native kernels",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
