"""The figures of `train/evaluate_decisions.py` as tables, in Markdown and on one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from qcface_sdk.html_page import render_page, render_table

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    title: str
    """What it shows."""
    head: tuple[str, ...]
    """Names of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """Cells."""


def make_tables(figures: Figures) -> list[Table]:
    """Return all tables."""
    tables = [_thresholds(figures), _gates(figures), _fused(figures), _conditioned(figures)]
    return [*tables, *_sources(figures["held_out"])] if "held_out" in figures else tables


def to_markdown(figures: Figures) -> str:
    """Return the tables as Markdown."""
    lines = [_about(figures)]
    for table in make_tables(figures):
        lines += ["", f"{table.title}:", "", _row(table.head), "|---" * len(table.head) + "|", *map(_row, table.rows)]
    return "\n".join(lines) + "\n"


def to_page(figures: Figures) -> str:
    """Return the tables as an HTML page."""
    parts = [f"<p>{escape(figures['model'])}. {escape(_about(figures))}</p>"]
    for table in make_tables(figures):
        parts += [f"<h2>{escape(table.title)}</h2>", render_table(table.head, table.rows)]
    parts.append("<p class='note'>Intervals: 95 % bootstrap by identity.</p>")
    return render_page("Decisions on other people", parts)


def _about(figures: Figures) -> str:
    return f"LFW people of folds 1-5: {figures['people'][0]}, of folds 6-10: {figures['people'][1]}."


def _thresholds(figures: Figures) -> Table:
    head = ("calibrated on, checked on", "FMR asked", "measured", "ratio", "its 95 % interval", "FNMR there", "here")
    rows = [
        (
            name,
            f"{row['fmr']:g}",
            f"{row['measured_fmr']:.3g}",
            f"{row['ratio']:.2f}",
            _between(row["interval"]),
            _percent(row["fnmr"]),
            _percent(row["measured_fnmr"]),
        )
        for name, half in figures["halves"].items()
        for row in half["thresholds"]
    ]
    return Table("Thresholds", head, tuple(rows))


def _gates(figures: Figures) -> Table:
    head = ("gate, halves", "quality from", "FNMR at most", "measured on the other half", "holds")
    rows = [
        (
            f"{gate}, {name}",
            f"{row['minimum']:g}",
            _percent(row["promise"]),
            _percent(row["measured"]),
            "yes" if row["holds"] else "no",
        )
        for name, half in figures["halves"].items()
        for gate, row in half["gates"].items()
    ]
    return Table("Gates", head, tuple(rows))


def _fused(figures: Figures) -> Table:
    head = (
        "pictures of probe and enrolled",
        "halves",
        "people",
        "FMR / asked, threshold of single pictures",
        "its interval",
        "threshold times",
        "FMR / asked",
        "its interval",
    )
    rows = [
        (
            f"{row['counts'][0]} and {row['counts'][1]}",
            name,
            f"{row['people']}",
            f"{row['plain']:.2f}",
            _between(row["plain_interval"]),
            f"{row['factor']:.3f}",
            f"{row['asked']:.2f}",
            _between(row["asked_interval"]),
        )
        for name, half in figures["halves"].items()
        for row in half["fused"]
    ]
    return Table("Fused templates at FMR 1e-3", head, tuple(rows))


def _conditioned(figures: Figures) -> Table:
    rows = [
        (
            f"{'one' if kind == 'plain' else 'one for each third'}, {name}",
            f"{row['fmr']:.3g}",
            _percent(row["fnmr"]),
        )
        for name, half in figures["halves"].items()
        for kind, row in ((kind, half["conditioned"][kind]) for kind in ("plain", "conditioned"))
    ]
    return Table("Thresholds at FMR 1e-4, by magnitude", ("threshold, halves", "FMR", "FNMR"), tuple(rows))


def _sources(held_out: Figures) -> list[Table]:
    head = ("source", "people", "genuine", "impostor", "FMR", "its interval", "FNMR", "its interval")
    tables = []
    for fmr, groups in held_out["rates"].items():
        rows = [
            (
                group["name"],
                f"{group['people']}",
                f"{group['fnmr']['comparisons']:,}",
                f"{group['fmr']['comparisons']:,}",
                f"{group['fmr']['value']:.2g}",
                " to ".join(f"{end:.2g}" for end in group["fmr"]["interval"]),
                _percent(group["fnmr"]["value"]),
                " to ".join(_percent(end) for end in group["fnmr"]["interval"]),
            )
            for group in groups
            if group["fmr"] and group["fnmr"]
        ]
        tables.append(Table(f"Held out from training, at the threshold of FMR {fmr}", head, tuple(rows)))
    return tables


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _between(interval: list[float]) -> str:
    return f"{interval[0]:.2f} to {interval[1]:.2f}"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
