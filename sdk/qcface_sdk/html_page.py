"""The bare page that reports are written on: one file, no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = (
    ":root{color-scheme:light}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:.6em 0;font-variant-numeric:tabular-nums}"
    "td,th{border:1px solid #ccc;padding:.25em .6em;text-align:right}td:first-child,th:first-child{text-align:left}"
    "svg{font:11px system-ui,sans-serif;margin:.3em}p.note{color:#555}img{max-width:100%;height:auto}"
    "li{margin:.2em 0}"
)


def render_page(title: str, parts: Sequence[str]) -> str:
    """Return a whole HTML page; `parts` are HTML already."""
    head = f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
    return "\n".join([head, f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>", *parts, "</body></html>"])


def render_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts."""
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def render_list(sentences: Sequence[str]) -> str:
    """Return a bulleted list of sentences, or nothing for none."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in sentences) + "</ul>" if sentences else ""
