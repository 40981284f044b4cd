"""A run of `qcface gallery enroll-folder` as one HTML page: file names, qualities and reasons, no picture."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qcface_sdk.charts import Axis, draw_lines
from qcface_sdk.cli.gallery_actions.enrolment_run import FolderPerson, Outcome
from qcface_sdk.cli.printing import number_or_dash
from qcface_sdk.html_page import render_page, render_table


def render(people: Sequence[FolderPerson], gallery: str, folder: str, gate: float) -> str:
    """Return the page.

    Parameters
    ----------
    people : sequence of FolderPerson
    gallery, folder : str
        What they are called.
    gate : float
        Quality of the enrolment gate.
    """
    of = {outcome: [one for one in people if one.outcome is outcome] for outcome in Outcome}
    parts = [
        f"<p>{escape(folder)} into {escape(gallery)}: {len(of[Outcome.ENROLLED]):,} enrolled, "
        f"{len(of[Outcome.REFUSED]):,} refused, {len(of[Outcome.KNOWN]):,} enrolled before.</p>",
        "<p class='note'>This page names people. It holds no template and no picture.</p>",
        "<h2>Refused</h2>",
        _table(("subject", "why"), [(one.subject, one.reason) for one in of[Outcome.REFUSED]]),
        "<h2>Pictures left out, and what to do</h2>",
        _table(
            ("subject", "faces", "quality", "why"),
            [
                (one.subject, str(picture.faces), number_or_dash(picture.quality, 0), picture.problem)
                for one in people
                for picture in one.pictures
                if picture.problem
            ],
        ),
        "<h2>Quality of what was taken</h2>",
        _chart(people, gate),
        "<h2>Enrolled</h2>",
        _table(
            ("subject", "pictures taken", "of", "quality", "looks like"),
            [
                (
                    one.subject,
                    str(len(one.taken)),
                    str(len(one.pictures)),
                    number_or_dash(one.quality, 0),
                    one.similar_to or "-",
                )
                for one in of[Outcome.ENROLLED]
            ],
        ),
        "<h2>Enrolled before, left as they were</h2>",
        _table(("subject",), [(one.subject,) for one in of[Outcome.KNOWN]]),
    ]
    return render_page("Enrolment of a folder", parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return render_table(head, rows) if rows else "<p>None.</p>"


def _chart(people: Sequence[FolderPerson], gate: float) -> str:
    taken = sorted((picture.quality or 0.0 for one in people for picture in one.taken), reverse=True)
    if not taken:
        return "<p>None.</p>"
    # Best first, so the n-th picture says what quality n pictures reach.
    shares = [0.0, *(100 * number / len(taken) for number in range(1, len(taken) + 1))]
    lines = {"quality": (shares, [taken[0], *taken]), "enrolment gate": ([0.0, 100.0], [gate, gate])}
    axes = Axis("% of the pictures", limits=(0, 100)), Axis("have at least this quality", limits=(0, 100))
    return draw_lines("Quality reached", *axes, lines)
