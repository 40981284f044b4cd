"""What the gate holds each figure to, and why: read from TOML, so that a change shows in review."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcface_export.errors import ExportError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_LIMITS = Path(__file__).with_name("limits.toml")
_KINDS = ("at_least", "at_most", "within")


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit of one figure."""

    kind: str
    """``at_least``, ``at_most`` or ``within``."""
    value: float
    """The number."""
    reason: str
    """Why this number."""
    next_step: str
    """What to do when it fails."""
    least_faces: int = 0
    """Faces on the degradation ladder from which on the figure is more than noise; with fewer it is not judged."""

    def allows(self, figure: float) -> bool:
        """Return whether a figure keeps the limit; NaN never does."""
        if self.kind == "at_least":
            return figure >= self.value
        return (abs(figure) if self.kind == "within" else figure) <= self.value

    def __str__(self) -> str:
        words = {"at_least": ">=", "at_most": "<=", "within": "within +-"}[self.kind]
        return f"{words} {self.value:g}"


def read_limits(path: Path = DEFAULT_LIMITS) -> Mapping[str, Limit]:
    """Read the limits of all figures.

    Raises
    ------
    ExportError
        If the file cannot be read, or a table lacks its limit, reason or next step, or names no figure of the gate.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError(f"limits {path} cannot be read ({error}); see {DEFAULT_LIMITS} for the form") from error
    limits = {name: _limit(name, table) for name, table in content.items()}
    # A misspelt figure would never be judged, and never fail.
    unknown = () if path == DEFAULT_LIMITS else sorted(set(limits) - set(read_limits()))
    if unknown:
        raise ExportError(f"limits {path}: there is no figure {', '.join(unknown)}; see {DEFAULT_LIMITS}")
    return limits


def _limit(name: str, table: Any) -> Limit:
    kinds = [kind for kind in _KINDS if isinstance(table, dict) and kind in table]
    if len(kinds) != 1 or set(table) - {"least_faces"} != {kinds[0], "reason", "next_step"}:
        raise ExportError(
            f"limits: [{name}] must hold reason, next_step and one of {', '.join(_KINDS)}; least_faces may stand beside"
        )
    value, least = table[kinds[0]], table.get("least_faces", 0)
    if type(least) is not int or least < 0:
        raise ExportError(f"limits: {name}.least_faces must be a whole number, got {least!r}")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ExportError(f"limits: {name}.{kinds[0]} must be a number, got {value!r}")
    return Limit(kinds[0], float(value), str(table["reason"]), str(table["next_step"]), least)
