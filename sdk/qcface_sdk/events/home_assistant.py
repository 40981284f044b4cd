"""Home Assistant's MQTT discovery: what to publish so that every door appears as a device.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from typing import Any

from qcface_sdk.events.event import EventKind
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.results import Outcome


def discovery(door: str, topics: Topics, prefix: str = "homeassistant") -> dict[str, dict[str, Any]]:
    """Return topic to payload, to be published retained.

    Parameters
    ----------
    door : str
        Name of the door.
    topics : Topics
        Where its events are.
    prefix : str
        Home Assistant's discovery prefix.
    """
    node = f"{topics.prefix.replace('/', '_')}_{door}"
    decision = topics.of_kind(door, EventKind.DECISION.value)
    common = {
        "availability_topic": topics.available,
        "device": {"identifiers": [node], "name": f"Door {door}", "manufacturer": "QCFace", "model": "QCFace SDK"},
    }
    entities: dict[tuple[str, str], dict[str, Any]] = {
        ("event", "access"): {
            "name": "Access",
            "state_topic": decision,
            "event_types": [outcome.value for outcome in Outcome],
            "value_template": "{{ {'event_type': value_json.outcome, 'subject': value_json.subject} | tojson }}",
        },
        ("sensor", "decision"): {
            "name": "Last decision",
            "state_topic": decision,
            "value_template": "{{ value_json.outcome }}",
            "json_attributes_topic": decision,
        },
        ("sensor", "person"): {
            "name": "Last person admitted",
            "state_topic": decision,
            "value_template": "{{ value_json.subject if value_json.outcome == 'accept' else this.state }}",
        },
        ("binary_sensor", "problem"): {
            "name": "Problem",
            "state_topic": topics.problem(door),
            "device_class": "problem",
        },
    }
    return {
        f"{prefix}/{component}/{node}/{name}/config": common | entity | {"unique_id": f"{node}_{name}"}
        for (component, name), entity in entities.items()
    }
