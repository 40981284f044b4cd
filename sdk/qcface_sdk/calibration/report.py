"""A calibration as one HTML page with plots, and as plain values. Nobody is named or shown in it."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from qcface_sdk.calibration.measure import Measured
from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.evaluation import PairScores, operate
from qcface_sdk.html_page import render_list, render_page, render_table

_POINTS = 60
_COUNTS = (1, 2, 3, 5, 10, 64)


def to_values(measured: Measured) -> dict[str, Any]:
    """Return the figures as plain values for JSON."""
    calibration, gates = measured.calibration, measured.gates
    return {
        "contract": calibration.contract,
        "artifact": calibration.artifact,
        "runtime": calibration.runtime,
        "data": calibration.data,
        "faces": measured.faces,
        "people": measured.people,
        "thresholds": [
            {**row.to_dict(), "fnmr_interval": list(row.fnmr_interval)}
            for row in measured.rows
        ],
        "gates": None
        if gates is None
        else {
            name: {"minimum": fit.minimum, "fnmr_at_most": fit.promise, "fnmr": fit.fnmr, "pairs": fit.comparisons}
            for name, fit in zip(("probe", "enroll"), gates, strict=True)
        },
        "fused": [
            {"factor_at_most": entry.interval[1], "limit": entry.limit, "interval": list(entry.interval),
             "people": entry.people, "origin": entry.origin}
            for entry in calibration.stretches
        ],
        "notes": list(measured.notes),
    }  # fmt: skip


def render(measured: Measured) -> str:
    """Return the page."""
    calibration = measured.calibration
    about = (
        f"<p>{escape(calibration.data)}: {measured.faces} faces of {measured.people} people. Measured "
        f"{escape(calibration.created)} with {escape(calibration.artifact)} on {escape(calibration.runtime)}, contract "
        f"<code>{escape(calibration.contract)}</code>; holds for nothing else.</p>"
    )
    parts = [
        about,
        "<h2>Thresholds</h2>",
        _thresholds(measured),
        "<p class='note'>Intervals: 95 % bootstrap by identity. A rate that is not supported is refused by the engine, "
        "not extrapolated.</p>",
        _curves(measured.scores),
        "<h2>Fused templates</h2>",
        _fused(measured),
        "<h2>Quality</h2>",
        _quality(measured),
        "<h2>What these data do not say</h2>" if measured.notes else "",
        render_list(measured.notes),
    ]
    return render_page("Calibration", parts)


def _thresholds(measured: Measured) -> str:
    head = ("FMR", "threshold", "interval", "FNMR", "interval", "impostor pairs", "genuine pairs", "supported")
    rows = [
        (
            f"{row.fmr:g}",
            f"{row.threshold:.4f}",
            f"{row.interval[0]:.4f} to {row.interval[1]:.4f}",
            f"{100 * row.fnmr:.2f} %",
            f"{100 * row.fnmr_interval[0]:.2f} to {100 * row.fnmr_interval[1]:.2f} %",
            f"{row.impostors:,}",
            f"{row.genuines:,}",
            "yes" if row.supported else "no",
        )
        for row in measured.rows
    ]
    return render_table(head, rows)


def _fused(measured: Measured) -> str:
    if not measured.calibration.stretches:
        return "<p>Not measured: templates of several pictures are held to the thresholds of single pictures.</p>"
    entry = measured.calibration.stretches[0]
    rows = [(f"{count}", f"{entry.at(count):.3f}", f"{entry.at(count) ** 2:.3f}") for count in _COUNTS]
    table = render_table(("pictures", "threshold times, against one picture", "both templates of so many"), rows)
    return f"<p>{escape(entry.origin)}</p>{table}"


def _curves(scores: PairScores) -> str:
    highest = min(0.02, 0.9 * scores.largest_fmr)
    fmrs = np.geomspace(min(1.0 / scores.impostor_count, highest / 2), highest, _POINTS)
    fnmr = [operate(scores, float(fmr)).fnmr for fmr in fmrs]
    genuine, edges = np.histogram(scores.genuine, bins=100, range=(-1, 1))
    impostor = scores.histogram.reshape(100, -1).sum(axis=1)
    middle = ((edges[1:] + edges[:-1]) / 2).tolist()
    shares = {
        "one person": (middle, (genuine / genuine.sum()).tolist()),
        "two people": (middle, (impostor / impostor.sum()).tolist()),
    }
    up = Axis("false non-match rate", limits=(0, max(fnmr) or 1))
    errors = draw_lines("Error rates", Axis("false match rate", log=True), up, {"": (fmrs.tolist(), fnmr)})
    return errors + draw_lines("Similarities", Axis("similarity", limits=(-1, 1)), Axis("share of pairs"), shares)


def _quality(measured: Measured) -> str:
    quality = measured.calibration.quality
    places, values = zip(*quality.knots, strict=True)
    rows = [
        (name, f"{gate.minimum:g}", f"{100 * gate.fnmr:.2f} %", f"{gate.fmr:g}", gate.origin)
        for name, gate in (("probe", quality.probe_gate), ("enrolment", quality.enroll_gate))
    ]
    chart = draw_lines("Quality", Axis("magnitude"), Axis("quality", limits=(0, 100)), {"": (places, values)})
    table = render_table(("gate", "quality from", "FNMR at most", "at FMR", "origin"), rows)
    return f"<p>{escape(quality.origin)}</p>{table}{chart}"
