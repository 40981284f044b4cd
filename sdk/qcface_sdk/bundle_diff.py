"""What changed between two bundles: every value of their manifests, and with it every file by its hash."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from qcface_sdk.bundle import Bundle

_KEYS = (("artifact", "runtime", "fmr"), ("artifact", "runtime"), ("id",))


@dataclass(frozen=True, slots=True)
class Change:
    """One value that differs."""

    path: str
    """Where it stands in the manifest, such as ``thresholds[recognizer-fp32 onnxruntime 0.0001].threshold``."""
    before: Any
    """Value in the first bundle; None if it is not there."""
    after: Any
    """Value in the second bundle; None if it is not there."""


def diff_bundles(first: Bundle, second: Bundle) -> tuple[Change, ...]:
    """Return what differs between two bundles, in the order of the manifest; empty if they are the same."""
    before, after = (_flatten(json.loads(bundle.manifest_bytes)) for bundle in (first, second))
    paths = [*before, *(path for path in after if path not in before)]
    return tuple(
        Change(path, before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)
    )


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        parts = {f"{path}.{name}" if path else name: item for name, item in value.items()}
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        parts = {f"{path}[{_label(item, place)}]": item for place, item in enumerate(value)}
    else:
        return {path: value}
    return {name: leaf for part, item in parts.items() for name, leaf in _flatten(item, part).items()}


def _label(item: Any, place: int) -> str:
    """Name an entry of a list by what it is about, so that an inserted one does not make all others differ."""
    if isinstance(item, dict):
        for keys in _KEYS:
            if all(key in item for key in keys):
                return " ".join(str(item[key]) for key in keys)
    return str(place)
