"""Events on an MQTT broker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qcface_sdk.errors import EventTransportError
from qcface_sdk.events.event import DoorEvent, EventKind
from qcface_sdk.events.home_assistant import discovery
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.mqtt import LastWill, MqttConnection, MqttOptions
from qcface_sdk.mqtt.session import MqttSession

_TROUBLE = {
    EventKind.CAMERA_LOST: "ON",
    EventKind.TAMPER: "ON",
    EventKind.FAULT: "ON",
    EventKind.STOPPED: "ON",
    EventKind.CAMERA_BACK: "OFF",
    EventKind.RECOVERED: "OFF",
    EventKind.STARTED: "OFF",
}


class MqttEvents:
    """Publishes each event with QoS 1; none is retained, as a person's name must not stay on the broker.

    An `EventSink`. Thread-safe. Retained are only the availability (``online``, ``offline``, the last will), whether a
    door has a problem, and Home Assistant's discovery.

    Parameters
    ----------
    options : MqttOptions
        The broker.
    topics : Topics
        Names of the topics.
    doors : sequence of str
        Doors to announce to Home Assistant.
    home_assistant : str or None
        Discovery prefix; ``None``: no discovery.
    client_id : str
        Name of this client at the broker.

    Raises
    ------
    OptionError
        If a certificate file cannot be read. An unreachable broker is no error here: it is tried again for ever.
    """

    def __init__(
        self,
        options: MqttOptions,
        topics: Topics | None = None,
        *,
        doors: Sequence[str] = (),
        home_assistant: str | None = None,
        client_id: str = "qcface-events",
    ) -> None:
        self.topics = topics or Topics()
        self._announcements: dict[str, dict[str, Any]] = {}
        if home_assistant is not None:
            for door in doors:
                self._announcements |= discovery(door, self.topics, home_assistant)
        self._timeout = options.timeout
        will = LastWill(self.topics.available)
        self.connection = MqttConnection(options, client_id, will=will, on_connect=self._announce)

    def emit(self, event: DoorEvent) -> None:
        """Publish one event; return when the broker has acknowledged every message of it.

        Raises
        ------
        EventTransportError
            If it did not; the messages may have been sent, and are sent again by a second try.
        """
        if not self.connection.wait(self._timeout):
            raise EventTransportError(self.connection.last_error or "the broker is not connected")
        body = _json(event.to_dict())
        self.connection.publish(self.topics.events, body)
        self.connection.publish(self.topics.of_kind(event.door, event.kind.value), body)
        if event.subject is not None and event.accepted:
            self.connection.publish(self.topics.tracked_object_update, _json(_as_frigate(event)))
        if event.kind in _TROUBLE:
            self.connection.publish(self.topics.problem(event.door), _TROUBLE[event.kind].encode(), retain=True)

    def close(self) -> None:
        """Publish ``offline`` and disconnect."""
        self.connection.close()

    def _announce(self, session: MqttSession) -> None:
        for topic, payload in self._announcements.items():
            session.publish(topic, _json(payload), retain=True, expiry=None, timeout=self._timeout)


def _as_frigate(event: DoorEvent) -> dict[str, Any]:
    return {
        "type": "face",
        "id": event.id,
        "name": event.subject,
        "score": event.similarity,
        "camera": event.camera,
        "timestamp": event.time.timestamp(),
    }


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
