"""A proof as one HTML page without scripts or outside files."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from qcface_export.proof.report import ProofReport
from qcface_export.proof.strips import Strip
from qcface_train.evaluation.charts import Axis, draw_lines

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.6em 0}td,th{border:1px solid #ccc;padding:.25em .6em;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}tr.fail td{background:#fde4e1}"
    ".verdict{font-size:1.3em;font-weight:600;padding:.5em .8em;border-radius:8px;color:#fff}"
    ".pass{background:#1f7a4d}.fail.verdict{background:#b3261e}p.note{color:#555}"
    "svg{font:11px system-ui,sans-serif;margin:.3em}.strip{display:flex;gap:6px;overflow-x:auto;margin:.2em 0 1em}"
    ".strip figure{margin:0;text-align:center;font-size:12px}.strip img{display:block;border-radius:4px}"
)


def render_proof(report: ProofReport, strips: Sequence[Strip] = ()) -> str:
    """Return the page."""
    verdict = "Passed: every figure kept its limit." if report.passed else "Failed: this file must not ship."
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'><title>Export proof</title>",
        f"<style>{_STYLE}</style></head><body><h1>Does quality order survive the export?</h1>",
        f"<p class='verdict {'pass' if report.passed else 'fail'}'>{verdict}</p>",
        f"<p>{escape(report.artifact)} on {escape(report.runtime)}, compared with {escape(report.reference)}.<br>",
        f"{escape(report.origin)}.</p>",
        "<h2>Figures and limits</h2>",
        _figures(report),
        "<h2>Magnitude</h2>",
        _scatter(report.details["scatter"]),
        *_edc(report.details),
        "<h2>Damage ladder</h2>",
        _ladder(report.details["ladder"]),
        *_strips(strips),
        "</body></html>",
    ]
    return "\n".join(parts)


def _figures(report: ProofReport) -> str:
    rows = []
    for figure in report.figures:
        next_step = "" if figure.passed else f"<br><b>Next:</b> {escape(figure.limit.next_step)}"
        rows.append(
            f"<tr class='{'' if figure.passed else 'fail'}'><td>{'passed' if figure.passed else 'FAILED'}</td>"
            f"<td>{escape(figure.name)}</td><td class='n'>{figure.value:.5g}</td>"
            f"<td class='n'>{escape(str(figure.limit))}</td><td>{escape(figure.limit.reason)}{next_step}</td></tr>"
        )
    head = "<tr><th></th><th>figure</th><th>value</th><th>limit</th><th>why this limit</th></tr>"
    note = f"<p class='note'>Not judged: {escape(', '.join(report.unjudged))}.</p>" if report.unjudged else ""
    return f"<table>{head}{''.join(rows)}</table>{note}"


def _scatter(points: dict[str, list[float]]) -> str:
    """Draw magnitude against magnitude: one point for each picture, the diagonal behind them."""
    xs, ys = np.array(points["reference"]), np.array(points["candidate"])
    low, high = float(min(xs.min(), ys.min())), float(max(xs.max(), ys.max()))
    side, edge = 320, 40
    scale = (side - edge - 10) / max(high - low, 1e-9)
    dots = "".join(
        f'<circle cx="{edge + (x - low) * scale:.1f}" cy="{side - edge - (y - low) * scale:.1f}" r="1.6"/>'
        for x, y in zip(xs, ys, strict=True)
    )
    top = side - edge - (high - low) * scale
    return (
        f'<svg viewBox="0 0 {side} {side}" width="{side}" role="img"><g fill="#0072B2" fill-opacity=".5">{dots}</g>'
        f'<line x1="{edge}" y1="{side - edge}" x2="{edge + (high - low) * scale:.1f}" y2="{top:.1f}" stroke="#D55E00"/>'
        f'<text x="{side / 2}" y="{side - 8}" text-anchor="middle">magnitude, reference</text>'
        f'<text x="12" y="{side / 2}" text-anchor="middle" transform="rotate(-90 12 {side / 2})">magnitude, this file'
        "</text></svg>"
    )


def _edc(details: Any) -> list[str]:
    if "edc" not in details:
        return []
    edc = details["edc"]
    chart = draw_lines(
        f"Error against rejection at FMR {details['fmr']:g}",
        Axis("share of comparisons rejected, lowest magnitude first"),
        Axis("FNMR of the rest"),
        {name: (edc["rejected"], edc[name]) for name in ("reference", "candidate")},
    )
    low, high = details["tar_loss_interval"]
    lost = f"95 % interval {100 * low:+.2f} to {100 * high:+.2f} points"
    note = f"<p>True accepts lost at FMR {details['fmr']:g}: {lost}.</p>"
    columns = (
        "fmr",
        "threshold",
        "own_threshold",
        "fmr_at_threshold",
        "reference_fnmr",
        "fnmr_at_threshold",
        "own_fnmr",
    )
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td class='n'>{row[name]:.4g}</td>" for name in columns) + "</tr>"
        for row in details["rates"]
    )
    return ["<h2>Recognition</h2>", note, f"<table><tr>{head}</tr>{rows}</table>", chart]


def _ladder(ladder: Any) -> str:
    charts, rows = [], []
    for kind, found in ladder.items():
        loss, error = found["spearman"] - found["reference_spearman"], found["standard_error"]
        cells = (found["reference_spearman"], found["spearman"], loss, error, found["fall"])
        rows.append(f"<tr><td>{kind}</td>{''.join(f'<td class=n>{value:+.4f}</td>' for value in cells)}</tr>")
        levels = list(range(len(found["mean"])))
        title = f"{kind}: Spearman {found['reference_spearman']:+.3f}, now {found['spearman']:+.3f}"
        series = {"reference": (levels, found["reference_mean"]), "this file": (levels, found["mean"])}
        charts.append(draw_lines(title, Axis("level of damage"), Axis("mean magnitude"), series))
    columns = ("damage", "Spearman of the reference", "of this file", "loss", "its standard error", "fall to the worst")
    head = "".join(f"<th>{name}</th>" for name in columns)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>{''.join(charts)}"


def _strips(strips: Sequence[Strip]) -> list[str]:
    if not strips:
        return [
            "<p class='note'>No strips: the public-domain portraits come with pip install \"qcface-sdk[demo]\".</p>"
        ]
    parts = ["<p class='note'>Under each picture: magnitude by the reference, then by this file.</p>"]
    for strip in strips:
        figures = "".join(
            f"<figure><img src='{picture}' width='96' alt='{escape(strip.kind)}, level {level}'>"
            f"{strip.reference[level]:.1f}<br>{strip.candidate[level]:.1f}</figure>"
            for level, picture in enumerate(strip.pictures)
        )
        parts.append(f"<h3>{escape(strip.kind)}: {escape(strip.credit)}</h3><div class='strip'>{figures}</div>")
    return parts
