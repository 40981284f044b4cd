"""The JSON schema of events, made from the same patterns and enumerations that `DoorEvent` is checked with.

`event.schema.json` beside this file is what it gives, for those who read events in another language.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from qcface_sdk.events.event import MAX_TEXT, NAME, SCHEMA, TIME, UUID, WORD, EventKind, Liveness
from qcface_sdk.results import Outcome


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of `DoorEvent.to_dict`."""
    properties: dict[str, Any] = {
        "id": _text(UUID),
        "kind": _one_of(EventKind),
        "door": _text(NAME),
        "camera": _text(NAME),
        "time": _text(TIME),
        "monotonic": {"type": "number", "minimum": 0},
        "schema": {"const": SCHEMA},
        "outcome": {"anyOf": [_one_of(Outcome), {"type": "null"}]},
        "reasons": {"type": "array", "items": _text(WORD)},
        "advice": _optional_text(),
        "subject": _optional_text(),
        "similarity": _optional_number(-1, 1),
        "threshold": _optional_number(-1, 1),
        "fmr": _optional_number(0, 1),
        "quality": _optional_number(0, 100),
        "quality_reasons": {"type": "array", "items": _text(WORD)},
        "track": {"type": ["integer", "null"], "minimum": 0},
        "liveness": _one_of(Liveness),
        "bbox": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        "snapshot": _optional_text(),
        "contract": _optional_text(),
        "message": _optional_text(),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"QCFace door event, schema {SCHEMA}",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "allOf": _rules(),
    }


def _rules() -> list[dict[str, Any]]:
    """Return what holds between keys: only decisions have an outcome, an accept names a person and is no spoof."""
    decision = {"properties": {"kind": {"const": EventKind.DECISION.value}}}
    accept = {"properties": {"outcome": {"const": Outcome.ACCEPT.value}}}
    accepted = {"subject": {"type": "string"}, "liveness": {"not": {"const": Liveness.SPOOF.value}}}
    return [
        {
            "if": decision,
            "then": {"properties": {"outcome": {"type": "string"}}},
            "else": {"properties": {"outcome": {"type": "null"}}},
        },
        {"if": accept, "then": {"properties": accepted}},
    ]


def _text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _one_of(kind: type[Enum]) -> dict[str, Any]:
    return {"enum": [member.value for member in kind]}


def _optional_text() -> dict[str, Any]:
    return {"type": ["string", "null"], "minLength": 1, "maxLength": MAX_TEXT}


def _optional_number(low: float, high: float) -> dict[str, Any]:
    return {"type": ["number", "null"], "minimum": low, "maximum": high}
