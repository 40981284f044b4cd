"""The report's part on search, templates and the QMagFace score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Figures = dict[str, Any]
Row = tuple[str, ...]

_NAMES = {
    "magnitude": "pooled, weighted by magnitude",
    "equal": "pooled, all pictures equal",
    "one picture": "one picture each",
    "cosine": "cosine",
    "qmagface": "QMagFace score",
}


def search_lines(figures: Figures) -> list[str]:
    """Return the figures as lines of text."""
    search = figures["search"]
    ranks = ", ".join(f"rank {k} {_percent(rate)}" for k, rate in search["rank"].items())
    lines = [f"search among {search['people']} people ({search['distractors']} distractors): {ranks}"]
    if search["open"]:
        misses = ", ".join(f"{_percent(fnir)} at FPIR {fpir}" for fpir, fnir in search["open"]["fnir"].items())
        lines.append(f"open search among {search['open']['people']} people: FNIR {misses}")
    for part in ("templates", "qmagface"):
        for name, rates in figures[part].get("tar", {}).items():
            lines.append(f"{part}, {_NAMES[name]}: TAR {_rates(rates)}")
    return lines


def search_tables(figures: Figures) -> list[tuple[str, Row, list[Row]]]:
    """Return tables as (caption, head, rows)."""
    search, templates, qmagface = figures["search"], figures["templates"], figures["qmagface"]
    ends = search.get("rank_interval", {})
    rows: list[Row] = [(f"rank {k}", share_cell(rate, ends.get(k))) for k, rate in search["rank"].items()]
    if search["open"]:
        ends = search["open"].get("fnir_interval", {})
        rows += [
            (f"open set, FNIR at FPIR {fpir}", share_cell(fnir, ends.get(fpir)))
            for fpir, fnir in search["open"]["fnir"].items()
        ]
    caption = (
        f"Search: {search['probes']:,} probes; the gallery holds one picture of each of {search['people']:,} people, "
        f"{search['distractors']:,} of them distractors."
    )
    if search["open"]:
        caption += f" Open set: the distractors are strangers to a gallery of {search['open']['people']:,} people."
    tables: list[tuple[str, Row, list[Row]]] = [(caption, ("", "rate"), rows)]
    if templates["people"]:
        caption = (
            f"Templates: {templates['people']:,} people with two templates each ({templates['pictures']:,} pictures; "
            f"{templates['people']:,} genuine and {templates['impostors']:,} impostor comparisons)."
        )
        tables.append((caption, _head(templates["tar"]), _body(templates)))
    lines = ", ".join(f"alpha {fold['alpha']:.4f} beta {fold['beta']:.4f}" for fold in qmagface["folds"])
    caption = f"QMagFace score: fitted on one half of the people, measured on the other, mean of both ways ({lines})."
    return [*tables, (caption, _head(qmagface["tar"]), _body(qmagface))]


def _head(rates: Mapping[str, Mapping[str, float | None]]) -> Row:
    return ("", *(f"TAR at FMR {fmr}" for fmr in next(iter(rates.values()))))


def _body(figures: Figures) -> list[Row]:
    ends = figures.get("tar_interval", {})
    return [
        (_NAMES[name], *(share_cell(value, ends.get(name, {}).get(fmr)) for fmr, value in row.items()))
        for name, row in figures["tar"].items()
    ]


def _rates(rates: Mapping[str, float | None]) -> str:
    return ", ".join(f"{_maybe(value)} at FMR {fmr}" for fmr, value in rates.items())


def _maybe(share: float | None) -> str:
    return "too few pairs" if share is None else _percent(share)


def share_cell(share: float | None, ends: Sequence[float] | None) -> str:
    """Return a rate as a cell, with its interval if there is one."""
    # Figures that were measured before there were intervals have none.
    return _maybe(share) + (f" [{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]" if ends else "")


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
