"""All that is held about one person as an HTML page, to be handed to that person."""

from __future__ import annotations

import json

from qcface_sdk.cli.gallery_actions.arguments import when
from qcface_sdk.cli.printing import number_or_dash
from qcface_sdk.gallery import SubjectReport
from qcface_sdk.html_page import render_page, render_table


def render(report: SubjectReport, gallery: str) -> str:
    """Return the page; it shows the kept pictures if the report holds them, and never a vector."""
    facts = [
        ("gallery", gallery),
        ("enrolled", when(report.created)),
        ("consent", report.consent or "none noted"),
        ("consent noted", when(report.consented)),
        ("recognised until", "no end noted" if report.expires is None else when(report.expires)),
        ("origin", report.origin),
    ]
    templates = [
        (
            one["uid"],
            when(one["created"]),
            str(one["pictures"]),
            number_or_dash(one["quality"], 1),
            str(one["kept_crops"]),
            one["contract"],
        )
        for one in report.templates
    ]
    lines = [(when(line["at"]), line["action"], json.dumps(line["detail"], sort_keys=True)) for line in report.audit]
    pictures = [
        f"<img alt='kept picture' src='data:image/png;base64,{crop}'>"
        for one in report.templates
        for crop in one.get("crops", ())
    ]
    parts = [
        render_table(("", ""), facts),
        "<h2>Templates</h2>",
        "<p>A template is a row of numbers made of pictures of the face. It is stored encrypted.</p>",
        render_table(("template", "made", "pictures", "quality", "kept pictures", "model"), templates),
        "<h2>Kept pictures</h2>" + "".join(pictures) if pictures else "",
        "<h2>What was done, and where the data went</h2>",
        render_table(("time", "action", "detail"), lines),
    ]
    return render_page(f"What is held about {report.subject}", parts)
