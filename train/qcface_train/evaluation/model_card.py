"""The figures of an evaluation as Markdown, for a model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qcface_train.evaluation.search_report import search_tables

Figures = dict[str, Any]


def render_markdown(figures: Figures) -> str:
    """Return the whole evaluation as Markdown: what was measured with which command, then tables with intervals."""
    model, data = figures["model"], figures["data"]
    parts = [
        f"File `{model['file']}`, SHA-256 `{model['sha256'][:16]}`, {model['bytes']:,} bytes, {model['runtime']} "
        f"{model['runtime_version']}. {data['name']}: {data['faces']:,} faces of {data['subjects']:,} people. "
        "Intervals: 95 %, bootstrap by identity.",
        f"    {' '.join(figures['command'])}",
        _verification(figures),
    ]
    parts += [f"{caption}\n\n{_table(head, rows)}" for caption, head, rows in search_tables(figures)]
    parts += [_spread(figures["magnitude"]), _ladder(figures["ladder"]), _rejection(figures["rejection"])]
    return "\n\n".join(parts) + "\n"


def _verification(figures: Figures) -> str:
    rows = []
    if "folds" in figures:
        folds = figures["folds"]
        rows.append(
            (
                f"{len(folds['accuracies'])}-fold accuracy",
                f"{_percent(folds['accuracy'])} ± {100 * folds['std']:.2f} (std of folds)",
                "",
            )
        )
    for row in figures["rates"]:
        low, high = (100 * (1 - value) for value in reversed(row["fnmr_interval"]))
        rows.append(
            (
                f"TAR at FMR {row['fmr']:g}, all pairs" + ("" if row["supported"] else " (too few pairs to state)"),
                f"{_percent(row['tar'])} [{low:.2f}, {high:.2f}]",
                f"{row['threshold']:.4f} [{row['interval'][0]:.4f}, {row['interval'][1]:.4f}]",
            )
        )
    return _table(("verification", "rate", "threshold"), rows)


def _spread(magnitude: Figures) -> str:
    rows = []
    for name, part in (("clean", "clean"), ("clean and damaged", "with_ladder")):
        spread = magnitude[part]
        low, median, high = (spread["percentiles"][p] for p in ("5", "50", "95"))
        rows.append((name, f"{low:.1f}", f"{median:.1f}", f"{high:.1f}", _percent(spread["span_share"])))
    share = f"5-95 % of [{magnitude['la']:g}, {magnitude['ua']:g}]"
    return _table(("magnitude", "5 %", "median", "95 %", share), rows)


def _ladder(ladder: Figures) -> str:
    rows = [
        (
            kind,
            f"{found['spearman']:+.3f} [{found['interval'][0]:+.3f}, {found['interval'][1]:+.3f}]",
            _percent(found["monotone_share"]),
        )
        for kind, found in ladder.items()
    ]
    mean = sum(found["spearman"] for found in ladder.values()) / len(ladder)
    rows.append(("mean of kinds", f"{mean:+.3f}", ""))
    return _table(("damage", "Spearman(severity, magnitude), mean over faces", "faces that fall at every step"), rows)


def _rejection(rejection: Figures) -> str:
    first = next(iter(rejection["measures"].values()))["excess_areas"]
    rows = []
    for name, found in rejection["measures"].items():
        factor = "no error" if found["factor"] is None else f"{found['factor']:.3f} {_interval(found['interval'])}"
        areas = (" / ".join(f"{value:.5f}" for value in area.values()) for area in found["excess_areas"].values())
        rows.append((name, factor, *areas))
    limits = "/".join(next(iter(first.values())))
    head = ("quality", f"FNMR factor at {100 * rejection['share']:g} % rejected", *(f"pAUC {start}" for start in first))
    compared = [
        (f"{rejection['judged']} minus {name}", f"{found['value']:.3f} {_interval(found['interval'])}")
        for name, found in rejection["differences"].items()
        if found["value"] is not None
    ]
    note = (
        f"Rejecting by the lower quality of both faces, equal ones together; threshold fixed before. Factor: at FMR "
        f"{rejection['fmr']:g}. pAUC: up to {limits} discarded, minus the ideal area; lower is better."
    )
    tables = [note, _table(head, rows)]
    if compared:
        tables.append(_table(("paired difference of the factor", "below 0: the first is better"), compared))
    return "\n\n".join(tables)


def _interval(bounds: Sequence[float] | None) -> str:
    return f"[{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else "[too few errors]"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
