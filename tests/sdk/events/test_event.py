from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given

import qcface_sdk.events.event_id as event_id
from drawn_events import events
from qcface_sdk.errors import EventFormatError
from qcface_sdk.events import DoorEvent, EventKind, Liveness, json_schema, new_event_id
from qcface_sdk.results import Outcome, Reason

SCHEMA_FILE = Path(event_id.__file__).with_name("event.schema.json")
ACCEPT = DoorEvent.new(EventKind.DECISION, "front", "cam", outcome=Outcome.ACCEPT, subject="ann")


VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_schema_is_a_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


@given(event=events())
def test_event_survives_json_and_obeys_the_schema(event: DoorEvent) -> None:
    text = json.dumps(event.to_dict(), allow_nan=False)
    VALIDATOR.validate(json.loads(text))
    assert DoorEvent.from_dict(json.loads(text)) == event


def test_schema_file_is_what_the_code_makes() -> None:
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()


WRONG = [
    ("id", "1"),
    ("id", None),
    ("kind", "opened_wide"),
    ("door", "front door"),
    ("door", ""),
    ("camera", "-cam"),
    ("camera", "a" * 65),
    ("time", "2026-13-01T00:00:00.000000Z"),
    ("time", "yesterday"),
    ("monotonic", -1.0),
    ("monotonic", "1"),
    ("schema", 2),
    ("outcome", "maybe"),
    ("reasons", ["Low Quality"]),
    ("reasons", "low_quality"),
    ("subject", ""),
    ("subject", None),
    ("similarity", 1.5),
    ("threshold", True),
    ("fmr", -1e-4),
    ("quality", 101),
    ("track", 1.5),
    ("track", -1),
    ("liveness", "spoof"),
    ("bbox", [1, 2, 3]),
    ("bbox", [1, 2, 3, None]),
    ("message", "x" * 1025),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_wrong_value_is_refused_by_class_and_schema_alike(key: str, value: object) -> None:
    values = ACCEPT.to_dict() | {key: value}
    with pytest.raises(EventFormatError, match=key if key != "liveness" else "presentation attack"):
        DoorEvent.from_dict(values)
    if value != "2026-13-01T00:00:00.000000Z":  # a schema knows no calendar
        assert not VALIDATOR.is_valid(values)


@pytest.mark.parametrize("change", [{"more": 1}, {"track": ...}])
def test_keys_are_exactly_those_of_the_schema(change: dict[str, object]) -> None:
    values = {key: value for key, value in (ACCEPT.to_dict() | change).items() if value is not ...}
    with pytest.raises(EventFormatError, match="unknown or missing"):
        DoorEvent.from_dict(values)
    assert not VALIDATOR.is_valid(values)


def test_only_a_decision_has_an_outcome() -> None:
    with pytest.raises(EventFormatError, match="outcome"):
        DoorEvent.new(EventKind.OPENED, "front", "cam", outcome=Outcome.ACCEPT, subject="ann")
    with pytest.raises(EventFormatError, match="outcome"):
        DoorEvent.new(EventKind.DECISION, "front", "cam")


def test_numbers_that_json_cannot_hold_are_refused() -> None:
    for value in (float("nan"), float("inf"), np.float32(0.5)):
        with pytest.raises(EventFormatError, match="similarity"):
            replace(ACCEPT, similarity=value)


def test_box_of_a_face_is_taken_as_it_is() -> None:
    event = DoorEvent.new(EventKind.TAMPER, "front", "cam", bbox=np.array([1, 2, 3.14159, 4], np.float32))
    assert event.bbox == (1.0, 2.0, 3.14, 4.0)


def test_local_time_is_refused() -> None:
    east = timezone(timedelta(hours=7))
    for moment in (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=east)):
        with pytest.raises(EventFormatError, match="UTC"):
            replace(ACCEPT, time=moment)


def test_every_reason_of_a_decision_is_a_word_of_the_schema() -> None:
    reasons = tuple(name for flag in Reason for name in flag.names())
    assert DoorEvent.new(EventKind.DECISION, "d", "c", outcome=Outcome.REJECT, reasons=reasons).reasons == reasons


def test_ids_rise_although_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_event_id()
    moments = iter([10**18, 10**18, 5, 10**18 - 1])
    monkeypatch.setattr(event_id.time, "time_ns", lambda: next(moments))
    ids = [first, *(new_event_id() for _ in range(4))]
    assert ids == sorted(set(ids))


def test_spoof_is_never_accepted() -> None:
    with pytest.raises(EventFormatError, match="presentation attack"):
        replace(ACCEPT, liveness=Liveness.SPOOF)
