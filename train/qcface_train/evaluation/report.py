"""Write an evaluation as JSON, as one HTML page and as the lines a terminal shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.evaluation import LADDER, UNITS
from qcface_train.evaluation.search_report import search_lines, search_tables, share_cell

Figures = dict[str, Any]
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:.6em 0}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:right}"
    "td:first-child,th:first-child,td.text{text-align:left}svg{font:11px system-ui,sans-serif;margin:.3em}"
    "p.note{color:#555}"
)


def summary_lines(figures: Figures) -> list[str]:
    """Return the figures as a few lines of text."""
    data, model = figures["data"], figures["model"]
    lines = [
        f"{model['file']}: {data['faces']} faces of {data['subjects']} people, {model['runtime']} "
        f"{model['runtime_version']}"
    ]
    if "folds" in figures:
        folds = figures["folds"]
        lines.append(f"folds: {_percent(folds['accuracy'])} +- {100 * folds['std']:.2f} %")
    for row in figures["rates"]:
        low, high = (1 - value for value in reversed(row["fnmr_interval"]))
        note = "" if row["supported"] else "  (too few impostor pairs to state this rate)"
        lines.append(
            f"TAR at FMR {row['fmr']:g}: {_percent(row['tar'])} [{100 * low:.2f}, {100 * high:.2f}], threshold "
            f"{row['threshold']:.4f} [{row['interval'][0]:.4f}, {row['interval'][1]:.4f}]{note}"
        )
    lines += search_lines(figures)
    for name, part in (("clean", "clean"), ("clean and damaged", "with_ladder")):
        spread = figures["magnitude"][part]
        low, median, high = (spread["percentiles"][p] for p in ("5", "50", "95"))
        lines.append(
            f"magnitude, {name}: 5/50/95 % {low:.2f} / {median:.2f} / {high:.2f}, "
            f"{_percent(spread['span_share'])} of [la, ua]; outside it {_percent(_outside(spread))}"
        )
    for kind, found in figures["ladder"].items():
        low, high = found["interval"]
        lines.append(
            f"ladder {kind:9s}: Spearman {found['spearman']:+.3f} [{low:+.3f}, {high:+.3f}], "
            f"falls at every step for {_percent(found['monotone_share'])}"
        )
    return lines + _rejection_lines(figures["rejection"]) + _quality_lines(figures)


def _rejection_lines(rejection: Figures) -> list[str]:
    lines = []
    for name, found in rejection["measures"].items():
        area = found["excess_areas"][f"FMR {rejection['fmr']:g}"]
        factor = _with_interval(found["factor"], found["interval"])
        areas = ", ".join(f"{limit}: {value:.5f}" for limit, value in area.items())
        lines.append(f"rejecting {_percent(rejection['share'])} by {name}: FNMR x {factor}, pAUC minus ideal {areas}")
    for name, found in rejection["differences"].items():
        lines.append(f"{rejection['judged']} minus {name}: {_with_interval(found['value'], found['interval'])}")
    return lines


def _quality_lines(figures: Figures) -> list[str]:
    if "reason" in figures["quality"]:
        return [f"quality: no fit; {figures['quality']['reason']}"]
    quality = figures["quality"]
    knots = ", ".join(f"{place:.1f}:{value:.0f}" for place, value in quality["knots"])
    return [f"quality knots (magnitude:quality): {knots}", *_gate_lines(quality)]


def _gate_lines(quality: Figures) -> list[str]:
    gates = (("retry", quality["probe_gate"]), ("do not enrol", quality["enroll_gate"]))
    return [f"{use} below quality {gate['minimum']:g}: {gate['origin']}" for use, gate in gates]


def render_page(figures: Figures) -> str:
    """Return the whole report as one HTML page without scripts or outside files."""
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Recogniser evaluation</title>",
        f"<style>{_STYLE}</style></head><body><h1>Recogniser evaluation</h1>",
        _about(figures),
        "<h2>Verification</h2>",
        _rates(figures),
        _rate_charts(figures["curves"]),
        "<h2>Search, templates and the QMagFace score</h2>",
        *(f"<p>{escape(caption)}</p>{_table(head, rows)}" for caption, head, rows in search_tables(figures)),
        "<h2>Magnitude and damage</h2>",
        _ladder(figures),
        "<h2>Rejection by quality</h2>",
        _rejection(figures["rejection"]),
        "<h2>Quality, 0 to 100</h2>",
        _quality(figures["quality"]),
        "</body></html>",
    ]
    return "\n".join(parts)


def _about(figures: Figures) -> str:
    model, data = figures["model"], figures["data"]
    rows = [
        ("Model", f"{model['file']}, {model['bytes']:,} bytes, SHA-256 {model['sha256']}"),
        ("Runtime", f"{model['runtime']} {model['runtime_version']}"),
        ("Data", f"{data['name']}: {data['faces']:,} faces, {data['subjects']:,} people"),
        ("Command", " ".join(figures["command"])),
        ("Made", figures["created"]),
    ]
    return _table(("", ""), rows)


def _rates(figures: Figures) -> str:
    text = ""
    if "folds" in figures:
        folds = figures["folds"]
        text = (
            f"<p>{len(folds['accuracies'])} folds: {_percent(folds['accuracy'])} &#177; {100 * folds['std']:.2f} % "
            "(standard deviation over the folds; each with the threshold of the others).</p>"
        )
    rows = [
        (
            f"{row['fmr']:g}",
            f"{row['threshold']:.4f}",
            _interval(row["interval"], 1, 4),
            _percent(row["tar"]),
            _interval([1 - value for value in reversed(row["fnmr_interval"])], 100, 2),
            "yes" if row["supported"] else "no",
        )
        for row in figures["rates"]
    ]
    head = ("FMR", "threshold", "95 %", "TAR", "95 %", "supported")
    pairs = figures["rates"][0]
    note = (
        f"<p class='note'>All pairs: {pairs['genuines']:,} genuine, {pairs['impostors']:,} impostor. Intervals: "
        "bootstrap by identity. Supported: at least 30 false matches at the threshold (rule of 30).</p>"
    )
    return text + _table(head, rows) + note


def _rate_charts(curves: Figures) -> str:
    rates = draw_lines(
        "Errors, all pairs",
        Axis("false match rate", log=True),
        Axis("false non-match rate", log=True),
        {"": (curves["fmr"], curves["fnmr"])},
    )
    scores = draw_lines(
        "Similarities",
        Axis("cosine"),
        Axis("share of pairs per 0.02"),
        {"genuine": (curves["similarity"], curves["genuine"]), "impostor": (curves["similarity"], curves["impostor"])},
    )
    return rates + scores


def _ladder(figures: Figures) -> str:
    spread = figures["magnitude"]
    ranges = [
        (
            name,
            *(f"{value:.2f}" for value in spread[part]["percentiles"].values()),
            share_cell(spread[part]["span_share"], spread[part].get("span_interval")),
            _percent(spread[part]["below_la"]),
            _percent(spread[part]["above_ua"]),
        )
        for name, part in (("clean", "clean"), ("clean and damaged", "with_ladder"))
    ]
    percentiles = [f"{p} %" for p in spread["clean"]["percentiles"]]
    head = ("magnitude", *percentiles, "5-95 % of [la, ua]", "below la", "above ua")
    kinds = [
        (
            kind,
            f"{found['spearman']:+.3f}",
            _interval(found["interval"], 1, 3),
            share_cell(found["monotone_share"], found.get("monotone_interval")),
            f"{UNITS[kind]}: {', '.join(f'{value:g}' for value in LADDER[kind])}",
        )
        for kind, found in figures["ladder"].items()
    ]
    if "ladder_mean" in figures:
        mean = figures["ladder_mean"]
        kinds.append(("mean of kinds", f"{mean['spearman']:+.3f}", _interval(mean["interval"], 1, 3), "", ""))
    levels = list(range(len(next(iter(figures["ladder"].values()))["fnmr"])))
    lines = {kind: (levels, found["magnitude_quartiles"][1]) for kind, found in figures["ladder"].items()}
    errors = {kind: (levels, found["fnmr"]) for kind, found in figures["ladder"].items()}
    return (
        _table(head, ranges)
        + _table(("damage", "Spearman", "95 %", "falls at every step", "levels 1 to 6"), kinds)
        + draw_lines("Median magnitude", Axis("level"), Axis("magnitude"), lines)
        + draw_lines("Failed genuine comparisons", Axis("level"), Axis("FNMR at FMR 1e-4", limits=(0, 1)), errors)
    )


def _rejection(rejection: Figures) -> str:
    start = f"FMR {rejection['fmr']:g}"
    rows = [(name, _with_interval(found["factor"], found["interval"])) for name, found in rejection["measures"].items()]
    head = ("measure", f"FNMR factor at {_percent(rejection['share'])}, 95 %")
    differences = [
        (f"{rejection['judged']} minus {name}", _with_interval(found["value"], found["interval"]))
        for name, found in rejection["differences"].items()
    ]
    lines = {
        name: (found["curve"]["rejected"], found["curve"]["fnmr"]) for name, found in rejection["measures"].items()
    }
    note = (
        f"<p class='note'>Threshold at {start}, fixed before rejection (FNMR {_percent(rejection['fnmr'])}); the lower "
        "quality of the two faces counts; equal qualities go together. pAUC: area of the step curve minus the ideal."
        "</p>"
    )
    limits, areas = area_rows(rejection)
    by_start = _table(("measure", "threshold at", *(f"pAUC {limit}, 95 %" for limit in limits)), areas)
    compared = _table(("difference of the factor, 95 %", ""), differences) if differences else ""
    chart = draw_lines(
        "Error against discard", Axis("share rejected"), Axis("FNMR of the rest", limits=(0, _highest(lines))), lines
    )
    return _table(head, rows) + note + compared + by_start + chart


def area_rows(rejection: Figures) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return the limits of the partial areas, and a row of texts for each measure and threshold."""
    rows = []
    for name, found in rejection["measures"].items():
        for start, areas in found["excess_areas"].items():
            # Figures that were measured before there were intervals have none.
            ends = found.get("area_intervals", {}).get(start, {})
            rows.append((name, start, *(_area(value, ends.get(limit)) for limit, value in areas.items())))
    return list(next(iter(next(iter(rejection["measures"].values()))["excess_areas"].values()))), rows


def _area(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:.5f}" + (f" [{ends[0]:.5f}, {ends[1]:.5f}]" if ends else "")


def _quality(quality: Figures) -> str:
    if "reason" in quality:
        return f"<p>No fit: {escape(quality['reason'])}</p>"
    places, values = zip(*quality["knots"], strict=True)
    chart = draw_lines("Quality", Axis("magnitude"), Axis("quality", limits=(0, 100)), {"": (places, values)})
    gates = "".join(f"<p>{escape(line)}</p>" for line in _gate_lines(quality))
    return f"<p>{escape(quality['origin'])}</p>{gates}{chart}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{f'<tr>{top}</tr>' if any(head) else ''}{body}</table>"


def _highest(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> float:
    return max((max(ys) for _, ys in lines.values()), default=1.0) or 1.0


def _cell(text: str) -> str:
    # Numbers stand in columns, to the right; sentences read from the left.
    kind = "" if len(text) < 28 else " class='text'"
    return f"<td{kind}>{escape(text)}</td>"


def _interval(bounds: Sequence[float], factor: float, digits: int) -> str:
    return f"{factor * bounds[0]:.{digits}f} to {factor * bounds[1]:.{digits}f}"


def _with_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    if value is None:
        return "no error to reject"
    return f"{value:.3f} " + (f"[{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else "[too few errors]")


def _outside(spread: Figures) -> float:
    return float(spread["below_la"] + spread["above_ua"])


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
