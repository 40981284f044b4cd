"""Measure thresholds, quality and gates on your own people, for the model in use.

FOLDER holds one folder of pictures per person: at least two pictures each of as many people as you can get. The largest
face of each picture is taken; every face is compared with every other. FOLDER may also be an .npz with the arrays
`embeddings` (N, D), `labels` (N,) and `contract`.

A false match rate needs 30 / rate comparisons of different people: 1e-4 takes 300,000, which 800 pictures give. A rate
that the counts do not support is listed and refused, never extrapolated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from qcface_sdk.calibration import calibrate
from qcface_sdk.calibration.measure import ENROLL_BELOW, RETRY_BELOW, Measured
from qcface_sdk.calibration.report import render, to_values
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.labelled import damage, read_labelled
from qcface_sdk.cli.options import add_engine_options, add_json_option, open_engine, positive_int
from qcface_sdk.cli.printing import print_json, print_table, print_warning

_EXAMPLES = """\
  qcface calibrate people/ --output site.json --report site.html
  qcface calibrate faces.npz --output site.json --backend openvino
  qcface identify staff.db door.jpg --calibration site.json

The result holds for this model, precision and runtime alone; with any other it is refused.
--json prints {"contract", "artifact", "runtime", "data", "faces", "people", "thresholds", "gates", "fused", "notes",
"skipped", "output"}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="one folder of pictures per person, or an .npz")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="where the calibration goes (JSON)")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write a page with plots (HTML)")
    parser.add_argument("--name", metavar="TEXT", help="what to call the data (default: the folder's name)")
    parser.add_argument(
        "--ladder-faces",
        type=int,
        default=50,
        metavar="N",
        help="faces to damage in every way, for quality and gates; 0 for none (default: %(default)s)",
    )
    parser.add_argument(
        "--retry-below",
        type=float,
        default=RETRY_BELOW,
        metavar="QUALITY",
        help="quality of the gate for probes (default: %(default)g)",
    )
    parser.add_argument(
        "--enroll-below",
        type=float,
        default=ENROLL_BELOW,
        metavar="QUALITY",
        help="quality of the gate for enrolment (default: %(default)g)",
    )
    parser.add_argument(
        "--replicates", type=positive_int, default=1000, metavar="N", help="bootstrap resamples (default: %(default)s)"
    )
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Measure, write the calibration, print the table."""
    with open_engine(args) as engine:
        faces = read_labelled(args.folder, engine)
        if faces.skipped:
            print_warning(f"pictures left out: {faces.describe()}")
        embedding = engine.bundle.manifest.embedding
        measured = calibrate(
            faces.embeddings,
            faces.labels,
            engine.calibration,
            args.name or args.folder.stem or str(args.folder),
            damaged=damage(faces, engine, args.ladder_faces),
            retry_below=args.retry_below,
            enroll_below=args.enroll_below,
            limits=(embedding.la, embedding.ua),
            replicates=args.replicates,
        )
    measured.calibration.save(args.output)
    if args.report is not None:
        args.report.write_text(render(measured), encoding="utf-8")
    if args.json:
        print_json({**to_values(measured), "skipped": dict(faces.skipped), "output": str(args.output)})
    else:
        _print(measured)
        print(f"wrote {args.output}; use it with --calibration {args.output}")
    return ExitCode.OK


def _print(measured: Measured) -> None:
    print(f"{measured.faces} faces of {measured.people} people")
    rows = [
        (
            f"{row.fmr:g}",
            f"{row.threshold:.4f}",
            f"{row.interval[0]:.4f} to {row.interval[1]:.4f}",
            f"{100 * row.fnmr:.2f} %",
            f"{row.impostors:,}",
            "yes" if row.supported else "no",
        )
        for row in measured.rows
    ]
    print_table(("FMR", "threshold", "95 % interval", "FNMR", "impostor pairs", "supported"), rows, right=range(1, 5))
    quality = measured.calibration.quality
    for name, gate in (("probe", quality.probe_gate), ("enrolment", quality.enroll_gate)):
        print(f"{name} gate: FNMR at FMR {gate.fmr:g} is at most {gate.fnmr:.4f} when quality >= {gate.minimum:g}")
    for entry in measured.calibration.stretches:
        print(f"fused templates: threshold times {entry.at(5):.3f} for five pictures, at most {entry.interval[1]:.3f}")
    for note in measured.notes:
        print(f"note: {note}")


COMMAND = Command(
    name="calibrate",
    summary="measure thresholds, quality and gates on your own people",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
