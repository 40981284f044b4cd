"""Judge on labelled pictures whether quality finds the comparisons that fail.

`edc` draws the error-versus-discard characteristic: the comparisons of the lowest quality are discarded first, and the
false non-match rate of the rest should fall fast. FOLDER holds one folder of pictures per person (or is an .npz with
`embeddings`, `labels` and `contract`). With --scores, a CSV of another tool's quality (columns `file` and `score`),
both are judged on the same faces and their rank correlation is given.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.cli.command import Command
from qcface_sdk.cli.exit_codes import ExitCode
from qcface_sdk.cli.labelled import LabelledFaces, read_labelled
from qcface_sdk.cli.options import add_engine_options, add_fmr_option, add_json_option, open_engine
from qcface_sdk.cli.printing import print_json, print_table, print_warning
from qcface_sdk.errors import InputError
from qcface_sdk.evaluation import operate, pair_quality, partial_areas, score_all_pairs, spearman, trace_edc
from qcface_sdk.html_page import render_page, render_table

_EXAMPLES = """\
  qcface eval edc people/ --report edc.html
  qcface eval edc people/ --scores other_tool.csv --fmr 1e-3
  qcface eval edc faces.npz --json | jq .measures.quality.factor_at_10_percent

pAUC is the area under the curve minus that of a perfect measure: 0 is perfect, lower is better. The threshold is set on
these data, before anything is discarded. --json prints {"faces", "people", "genuine", "impostor", "fmr", "threshold",
"fnmr", "measures", "spearman", "skipped"}.
"""
_SHARES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare arguments and options."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="one folder of pictures per person, or an .npz")
    parser.add_argument("--scores", type=Path, metavar="CSV", help="another tool's scores: columns file and score")
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write a page with the curves (HTML)")
    add_fmr_option(parser, 1e-3)
    add_json_option(parser, "one JSON object")
    add_engine_options(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """Compare all pairs, discard by quality, print the figures."""
    with open_engine(args) as engine:
        faces = read_labelled(args.folder, engine)
        quality = np.asarray(engine.quality(faces.magnitude), np.float64)
    if faces.skipped:
        print_warning(f"pictures left out: {faces.describe()}")
    measures = {"quality": quality, "magnitude": faces.magnitude}
    if args.scores is not None:
        measures["other"] = read_scores(args.scores, faces)
    figures, curves = measure_edc(faces, measures, args.fmr)
    if args.report is not None:
        args.report.write_text(_page(figures, curves), encoding="utf-8")
    if args.json:
        print_json(figures)
    else:
        _print(figures)
    return ExitCode.OK


def read_scores(file: Path, faces: LabelledFaces) -> NDArray[np.float64]:
    """Return another tool's score of each face, by the picture's path, its PERSON/PICTURE part or its name.

    Raises
    ------
    InputError
        If the CSV lacks a column or a face, or a score is not a number.
    """
    with file.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if not {"file", "score"} <= set(reader.fieldnames or ()):
            raise InputError(f"{file} must have the columns file and score, got {reader.fieldnames}")
        try:
            known = {row["file"]: float(row["score"]) for row in reader}
        except (TypeError, ValueError) as error:
            raise InputError(f"{file}: scores must be numbers: {error}") from error
    scores = []
    for name in faces.files:
        path = Path(name)
        keys = (name, f"{path.parent.name}/{path.name}", path.name)
        key = next((key for key in keys if key in known), None)
        if key is None:
            raise InputError(f"{file} has no score for {keys[1]}; give one for every picture with a face")
        scores.append(known[key])
    if not np.isfinite(scores).all():
        raise InputError(f"{file}: scores must be finite numbers")
    return np.array(scores, np.float64)


def measure_edc(
    faces: LabelledFaces, measures: dict[str, NDArray[np.float64]], fmr: float
) -> tuple[dict[str, Any], dict[str, tuple[list[float], list[float]]]]:
    """Return the figures for JSON and the curves for a plot.

    Raises
    ------
    InputError
        If nobody has two pictures, there is one person only, or the pairs do not support the rate.
    """
    scores = score_all_pairs(faces.embeddings, faces.labels, tail=min(0.99, 2.5 * fmr))
    at = operate(scores, fmr)
    if not at.supported:
        raise InputError(
            f"{at.impostors:,} impostor pairs do not support FMR {fmr:g}; use more people or a larger --fmr"
        )
    found: dict[str, Any] = {}
    curves = {}
    shares = np.linspace(0, 0.95, _SHARES)
    for name, values in measures.items():
        curve = trace_edc(scores.genuine, pair_quality(values, scores.genuine_pairs), at.threshold)
        curves[name] = (shares.tolist(), [curve.fnmr_at(float(share)) for share in shares])
        found[name] = {
            "factor_at_10_percent": None if not at.fnmr else curve.factor_at(0.1),
            "pauc_minus_ideal": partial_areas(curve),
        }
    ranked = {name: spearman(measures["magnitude"], values) for name, values in measures.items() if name == "other"}
    figures = {
        "faces": len(faces.labels),
        "people": scores.subject_count,
        "genuine": at.genuines,
        "impostor": at.impostors,
        "fmr": fmr,
        "threshold": at.threshold,
        "fnmr": at.fnmr,
        "measures": found,
        "spearman": {name: float(value) for name, value in ranked.items()},
        "skipped": dict(faces.skipped),
    }
    return figures, curves


def _rows(figures: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            name,
            "no error" if found["factor_at_10_percent"] is None else f"{found['factor_at_10_percent']:.3f}",
            *(f"{value:.5f}" for value in found["pauc_minus_ideal"].values()),
        )
        for name, found in figures["measures"].items()
    ]


_HEAD = ("measure", "FNMR x at 10 %", "pAUC to 0.2", "to 0.3", "to 0.95")


def _print(figures: dict[str, Any]) -> None:
    print(_about(figures))
    print_table(_HEAD, _rows(figures), right=range(1, 5))
    for name, value in figures["spearman"].items():
        print(f"rank correlation of magnitude with {name}: {value:+.3f} (Spearman)")


def _about(figures: dict[str, Any]) -> str:
    return (
        f"{figures['faces']} faces of {figures['people']} people, {figures['genuine']:,} genuine and "
        f"{figures['impostor']:,} impostor pairs; threshold {figures['threshold']:.4f} at FMR {figures['fmr']:g}, "
        f"FNMR {100 * figures['fnmr']:.2f} % before discarding"
    )


def _page(figures: dict[str, Any], curves: dict[str, tuple[list[float], list[float]]]) -> str:
    highest = max(max(values) for _, values in curves.values()) or 1.0
    axes = Axis("share of comparisons discarded"), Axis("FNMR of the rest", limits=(0, highest))
    ranked = "".join(
        f"<p>Rank correlation of magnitude with {name}: {value:+.3f}.</p>"
        for name, value in figures["spearman"].items()
    )
    parts = [f"<p>{_about(figures)}</p>", render_table(_HEAD, _rows(figures)), ranked]
    return render_page("Error against discard", [*parts, draw_lines("Error against discard", *axes, curves)])


COMMAND = Command(
    name="edc",
    summary="judge quality on labelled pictures: error against discard",
    description=__doc__ or "",
    examples=_EXAMPLES,
    add_arguments=add_arguments,
    run=run,
)
