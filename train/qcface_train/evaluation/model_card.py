"""The figures of an evaluation as Markdown, for a model card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qcface_train.evaluation.report import area_rows
from qcface_train.evaluation.search_report import search_tables, share_cell

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
    parts += [_spread(figures["magnitude"]), _ladder(figures), _rejection(figures["rejection"])]
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
        share = share_cell(spread["span_share"], spread.get("span_interval"))
        rows.append((name, f"{low:.1f}", f"{median:.1f}", f"{high:.1f}", share))
    head = f"5-95 % of [{magnitude['la']:g}, {magnitude['ua']:g}]"
    return _table(("magnitude", "5 %", "median", "95 %", head), rows)


def _ladder(figures: Figures) -> str:
    ladder = figures["ladder"]
    rows = [
        (
            kind,
            _signed(found["spearman"], found["interval"]),
            share_cell(found["monotone_share"], found.get("monotone_interval")),
        )
        for kind, found in ladder.items()
    ]
    mean = sum(found["spearman"] for found in ladder.values()) / len(ladder)
    rows.append(("mean of kinds", _signed(mean, figures.get("ladder_mean", {}).get("interval")), ""))
    return _table(("damage", "Spearman(severity, magnitude), mean over faces", "faces that fall at every step"), rows)


def _rejection(rejection: Figures) -> str:
    rows = [
        (name, "no error" if found["factor"] is None else f"{found['factor']:.3f} {_interval(found['interval'])}")
        for name, found in rejection["measures"].items()
    ]
    head = ("quality", f"FNMR factor at {100 * rejection['share']:g} % rejected")
    limits, areas = area_rows(rejection)
    compared = [
        (f"{rejection['judged']} minus {name}", f"{found['value']:.3f} {_interval(found['interval'])}")
        for name, found in rejection["differences"].items()
        if found["value"] is not None
    ]
    note = (
        f"Rejecting by the lower quality of both faces, equal ones together; threshold fixed before. Factor: at FMR "
        f"{rejection['fmr']:g}. pAUC: area up to so much discarded, minus the ideal area; lower is better."
    )
    head_areas = ("quality", "threshold at", *(f"pAUC {limit}" for limit in limits))
    tables = [note, _table(head, rows), _table(head_areas, areas)]
    if compared:
        tables.append(_table(("paired difference of the factor", "below 0: the first is better"), compared))
    return "\n\n".join(tables)


def _interval(bounds: Sequence[float] | None) -> str:
    return f"[{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else "[too few errors]"


def _signed(value: float, ends: Sequence[float] | None) -> str:
    return f"{value:+.3f}" + (f" [{ends[0]:+.3f}, {ends[1]:+.3f}]" if ends else "")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)
