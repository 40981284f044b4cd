"""How commands print: aligned tables for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from qcface_sdk.errors import QCFaceError


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print aligned columns; those whose index is in `right` are aligned to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for number, line in enumerate(lines):
        cells = [
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document, indented; in ASCII, so that no terminal or pipe can spoil it."""
    print(json.dumps(document, indent=2, allow_nan=False))


def print_json_line(document: Mapping[str, Any]) -> None:
    """Print one JSON document on one line and pass it on at once."""
    print(json.dumps(document, allow_nan=False), flush=True)


def error_document(error: QCFaceError) -> dict[str, str]:
    """Return an error as it stands in JSON output."""
    return {"type": type(error).__name__, "message": str(error)}


def print_error(error: object) -> None:
    """Print one line to standard error."""
    print(f"qcface: error: {' '.join(str(error).split())}", file=sys.stderr)


def print_warning(text: str) -> None:
    """Print one line to standard error."""
    print(f"qcface: warning: {text}", file=sys.stderr)


def number_or_dash(value: float | None, digits: int) -> str:
    """Return a number with that many decimals, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def plural(count: int, noun: str) -> str:
    """Return count and noun: ``1 face``, ``2 faces``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
