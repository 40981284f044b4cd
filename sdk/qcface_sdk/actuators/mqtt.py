"""Open commands to a controller that listens on an MQTT broker.

The receiving end is shown in ``examples/10_mqtt_door_controller.py``: it refuses a command that is retained, late,
repeated or, with a shared secret, not signed.
"""

from __future__ import annotations

import json
import time

from qcface_sdk.actuators.command import OpenCommand
from qcface_sdk.errors import ActuatorError, EventTransportError, OptionError
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.events.signature import check_secret, sign
from qcface_sdk.mqtt import MqttConnection, MqttOptions
from qcface_sdk.mqtt.session import NO_SUBSCRIBERS


class MqttActuator:
    """Publishes an open command once, with QoS 1, unretained and with an expiry, or fails. An `Actuator`. Thread-safe.

    Nothing is sent later: a command that the broker does not acknowledge in its time is thrown away together with the
    connection it was on. The acknowledgement says that the broker has it and somebody listens, not that the door moved.

    Parameters
    ----------
    options : MqttOptions
        The broker.
    topics : Topics
        Names of the topics.
    secret : bytes, optional
        Signs the commands, so that who may publish on the broker still cannot open.
    client_id : str
        Name of this client at the broker.
    """

    def __init__(
        self,
        options: MqttOptions,
        topics: Topics | None = None,
        *,
        secret: bytes | None = None,
        client_id: str = "qcface-open",
    ) -> None:
        if options.timeout <= 0:
            raise OptionError(f"timeout must be above 0, got {options.timeout}")
        self._topics = topics or Topics()
        self._secret = None if secret is None else check_secret(secret)
        self.connection = MqttConnection(options, client_id)

    def open(self, command: OpenCommand) -> None:
        """Publish the command now, or not at all.

        Raises
        ------
        CommandExpiredError
            If it is too late.
        ActuatorError
            If there is no connection, the broker refused or did not answer in time, or nobody listens.
        """
        left = command.check()
        topic = self._topics.open(command.door)
        # MQTT counts whole seconds; the receiver looks at expires_at as well.
        expiry = max(1, int(left))
        try:
            code = self.connection.publish(topic, self._payload(command, left), expiry=expiry, timeout=left)
        except EventTransportError as error:
            raise ActuatorError(f"{command.door} stays shut: {error}") from error
        if code == NO_SUBSCRIBERS:
            raise ActuatorError(f"{command.door} stays shut: no controller listens on {topic}")

    def close(self) -> None:
        """Disconnect."""
        self.connection.close()

    def _payload(self, command: OpenCommand, left: float) -> bytes:
        now = time.time()
        values = {
            "id": command.id,
            "door": command.door,
            "event_id": command.event_id,
            "subject": command.subject,
            "expires_at": round(now + left, 3),
        }
        body = json.dumps(values, ensure_ascii=False)
        if self._secret is None:
            return body.encode()
        return json.dumps({"command": body, "headers": sign(self._secret, command.id, body.encode(), now)}).encode()
