"""One page about a run: its losses, p, norms, learning rate and evaluations, from its ``log.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from qcface_train.evaluation.charts import Axis, draw_lines

_MOST_POINTS = 400
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}"
    "svg{margin:.4em .6em .4em 0;font:12px system-ui,sans-serif}table{border-collapse:collapse}"
    "td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}"
)
Lines = dict[str, tuple[Sequence[float], Sequence[float]]]


class ReportError(ValueError):
    """A folder that holds no run."""


@dataclass(slots=True)
class RunLog:
    """What a run wrote down; of a step that was done twice (after a kill) the later line counts."""

    steps: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Figures of each step, by its number."""
    validations: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Evaluations, by step: ``samples`` and ``validation``."""

    @classmethod
    def read(cls, folder: Path) -> RunLog:
        """Read ``log.jsonl`` of a run's folder.

        Raises
        ------
        ReportError
            If there is none, or no step in it.
        """
        path = folder / "log.jsonl"
        try:
            lines = path.read_text().splitlines()
        except OSError as error:
            raise ReportError(f"{folder} holds no run ({error}); give the folder named with --out") from error
        log = cls()
        for line in lines:
            try:
                content = json.loads(line)
            except ValueError:
                continue  # a killed process leaves half a line
            target = log.validations if "validation" in content else log.steps
            target[int(content["step"])] = content
        if not log.steps:
            raise ReportError(f"{path} holds no finished step; train longer")
        return log

    def curve(self, name: str) -> tuple[list[float], list[float]]:
        """Return steps and means of one figure, over so many steps at a time that a chart stays readable."""
        points = [(step, entry[name]) for step, entry in sorted(self.steps.items()) if name in entry]
        each = max(1, -(-len(points) // _MOST_POINTS))
        groups = [points[start : start + each] for start in range(0, len(points), each)]
        return [group[-1][0] for group in groups], [sum(value for _, value in group) / len(group) for group in groups]


def write_run_report(folder: Path) -> Path:
    """Write ``report.html`` into a run's folder and return its path; raises ReportError."""
    path = folder / "report.html"
    path.write_text(render_run(RunLog.read(folder), folder.resolve().name))
    return path


def render_run(log: RunLog, name: str) -> str:
    """Return the page, without scripts or outside files."""
    charts = [
        _chart(log, "Losses", "loss, mean over some steps", {"total": "loss", "L_ID": "id", "distillation": "kd"}),
        _chart(log, "Norm loss", "L_QC", {"": "qc"}),
        _chart(log, "Recognizability", "p, mean of a batch", {"": "p"}),
        _chart(log, "Norms", "length", {"largest": "norm_max", "mean": "norm", "smallest": "norm_min"}),
        _chart(log, "Learning rate", "rate", {"": "lr"}),
        _chart(log, "Gradient", "norm before clipping", {"": "gradient"}),
    ]
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        f"<title>Training of {escape(name)}</title><style>{_STYLE}</style></head>",
        f"<body><h1>Training of {escape(name)}</h1>",
        _summary(log),
        "<h2>Training</h2>",
        *charts,
        "<h2>Held-out identities</h2>",
        *_validation(log),
        "</body></html>",
    ]
    return "\n".join(parts)


def _summary(log: RunLog) -> str:
    last = log.steps[max(log.steps)]
    text = f"{max(log.steps):,} steps in {last['seconds'] / 60:.1f} minutes."
    began = next((step for step, entry in sorted(log.steps.items()) if "qc" in entry), None)
    if began is not None:
        text += f" The norm loss is on from step {began:,}."
    return f"<p>{text}</p>"


def _chart(log: RunLog, title: str, label: str, names: dict[str, str]) -> str:
    lines: Lines = {shown: log.curve(name) for shown, name in names.items()}
    lines = {shown: line for shown, line in lines.items() if line[0]}
    return draw_lines(title, Axis("step"), Axis(label), lines) if lines else ""


def _validation(log: RunLog) -> list[str]:
    entries = [entry for _, entry in sorted(log.validations.items())]
    if not entries:
        return ["<p>None: the recipe holds out no identity, or the run was stopped before the first evaluation.</p>"]
    samples = [entry["samples"] for entry in entries]
    figures = [entry["validation"] for entry in entries]
    rates: Lines = {
        "accuracy": (samples, [figure["accuracy"] for figure in figures]),
        "TAR at FMR 1e-3": (samples, [figure["tar_1e3"] for figure in figures]),
    }
    for name in figures[-1].get("pairs", {}):
        rates[name] = (samples, [figure.get("pairs", {}).get(name, float("nan")) for figure in figures])
    parts = [draw_lines("Verification", Axis("pictures seen"), Axis("share"), rates)]
    medians = figures[-1].get("ladder_norms", {})
    if medians:
        ladder: Lines = {kind: (list(range(len(norms))), norms) for kind, norms in medians.items()}
        parts.append(draw_lines("Median length by damage", Axis("severity"), Axis("length"), ladder))
        rows = "".join(
            f"<tr><td>{escape(kind)}</td><td>{value:+.3f}</td></tr>" for kind, value in figures[-1]["ladder"].items()
        )
        parts.append(f"<table><tr><th>damage</th><th>Spearman(severity, length)</th></tr>{rows}</table>")
    return parts
