"""What a door tells: events, their schema, and where they go.

`DoorEvent` is one event; an `EventSink` takes events and returns from `emit` when they are durable.
"""

from qcface_sdk.events.event import SCHEMA, DoorEvent, EventKind, Liveness
from qcface_sdk.events.event_id import new_event_id
from qcface_sdk.events.schema import json_schema
from qcface_sdk.events.sink import EventSink

__all__ = ["SCHEMA", "DoorEvent", "EventKind", "EventSink", "Liveness", "json_schema", "new_event_id"]
