"""A review of a gallery as one HTML page: ids, times and qualities, nothing biometric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.cli.gallery_actions.arguments import when
from qcface_sdk.cli.printing import number_or_dash, plural
from qcface_sdk.gallery.review import SOON_DAYS, Enrolled, Review
from qcface_sdk.html_page import render_list, render_page, render_table

MOST_ROWS = 500
"""Longest table on the page; the rest is in --json."""

_HEAD = ("subject", "templates", "best quality", "worst", "kept pictures", "enrolled", "consent", "expires", "origin")


def render(review: Review) -> str:
    """Return the page."""
    attention = review.attention
    parts = [
        f"<p>{escape(review.path)}, looked over {when(review.at)}. {plural(review.statistics.subjects, 'subject')}, "
        f"{plural(review.statistics.templates, 'template')}, of contract "
        f"<code>{escape(review.statistics.contract or 'none yet')}</code>. Every page and index is in order, and all "
        f"{review.unsealed:,} templates were unsealed.</p>",
        "<p class='note'>This page names everybody who is enrolled. It holds no template and no picture.</p>",
        "<h2>What needs attention</h2>",
        render_list(attention) if attention else "<p>Nothing.</p>",
        "<h2>Quality</h2>",
        _quality(review),
        "<h2>Likely one person under two ids</h2>",
        _doubles(review),
        "<h2>Retention and consent</h2>",
        _retention(review),
        "<h2>Keys and copies</h2>",
        _keys(review),
        "<h2>Everybody</h2>",
        _table(review.people),
    ]
    return render_page(f"Gallery {Path(review.path).name}", parts)


def _quality(review: Review) -> str:
    known = sorted((quality for quality in review.qualities if quality is not None), reverse=True)
    parts = [f"<p>Quality is known of {len(known):,} of {plural(len(review.qualities), 'template')}.</p>"]
    if known:
        # Best first, so the n-th template says what quality n templates reach.
        places = [(100 * number / len(known), quality) for number, quality in enumerate(known, 1)]
        thinned = [
            (0.0, known[0]),
            *(list(group)[-1] for _, group in groupby(places, key=lambda place: int(2 * place[0]))),
        ]
        lines = {"quality": ([share for share, _ in thinned], [quality for _, quality in thinned])}
        if review.enroll_below is not None:
            lines["enrolment gate"] = ([0.0, 100.0], [review.enroll_below] * 2)
        axes = Axis("% of the templates", limits=(0, 100)), Axis("have at least this quality", limits=(0, 100))
        parts.append(draw_lines("Quality reached", *axes, lines))
    counts = Counter(one.templates for one in review.people)
    samples = [(str(templates), f"{people:,}") for templates, people in sorted(counts.items())]
    parts.append(render_table(("templates", "people who have so many"), samples))
    if review.enroll_below is None:
        parts.append("<p>The enrolment gate was not applied: that needs the model.</p>")
    elif review.below_gate:
        parts.append(
            f"<h3>Not known to pass the enrolment gate</h3><p>None of their templates reaches quality "
            f"{review.enroll_below:g}, or none has a known quality.</p>"
        )
        parts.append(_table(review.below_gate))
    return "".join(parts)


def _doubles(review: Review) -> str:
    doubles = review.doubles
    if doubles is None:
        return "<p>Not looked for.</p>"
    rows = [(pair.first, pair.second, f"{pair.similarity:.3f}") for pair in doubles.found]
    return (
        f"<p>{plural(len(rows), 'pair')} at or above similarity {doubles.threshold:.3f} (more where several pictures "
        f"were fused), which one comparison of strangers in {1 / doubles.fmr:,.0f} reaches. Of the {doubles.pairs:,} "
        f"comparisons made, chance alone would give about {doubles.by_chance:.2g}.</p>"
        + _cut(("first", "second", "similarity"), rows)
    )


def _retention(review: Review) -> str:
    silent = sum(one.consent is None for one in review.people)
    endless = sum(one.expires is None for one in review.people)
    ending = review.ending()
    return (
        f"<p>Without a note of consent: {silent:,}. Without an end: {endless:,}. Over, or ending within {SOON_DAYS} "
        f"days: {len(ending):,}.</p>" + (_table(ending) if ending else "")
    )


def _keys(review: Review) -> str:
    keys, figures = review.keys, review.statistics
    rows = [
        ("master key", keys.master),
        ("beside the gallery", "yes" if keys.beside_the_data else "no"),
        ("wrapped keys", f"{keys.keys:,}"),
        ("keys of removed people still to be overwritten", f"{keys.waiting:,}"),
        ("last backup", when(keys.last_backup)),
        ("last copy of the wrapped keys", when(keys.last_copy)),
        ("people enrolled since that backup", f"{keys.not_backed_up:,}"),
        ("people enrolled since that copy of the keys", f"{keys.not_copied:,}"),
        ("people removed since that copy of the keys", f"{keys.removed_since:,}"),
        ("master key changed since that copy of the keys", "yes" if keys.rotated_since else "no"),
        ("gallery", figures.gallery),
        ("made", when(figures.created)),
        ("files", f"{(figures.file_bytes + figures.keyring_bytes) / 1e6:,.1f} MB"),
        ("memory of a search", f"{figures.search_bytes / 1e6:,.1f} MB"),
    ]
    return render_table(("", ""), rows)


def _table(people: Sequence[Enrolled]) -> str:
    rows = [
        (
            one.subject,
            str(one.templates),
            number_or_dash(one.best, 1),
            number_or_dash(one.worst, 1),
            str(one.crops),
            _day(one.created),
            one.consent or "-",
            _day(one.expires),
            one.origin,
        )
        for one in people
    ]
    return _cut(_HEAD, rows)


def _day(seconds: float | None) -> str:
    return when(seconds).split(" ")[0]


def _cut(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>Nobody.</p>"
    more = f"<p>And {len(rows) - MOST_ROWS:,} more, see --json.</p>" if len(rows) > MOST_ROWS else ""
    return render_table(head, rows[:MOST_ROWS]) + more
