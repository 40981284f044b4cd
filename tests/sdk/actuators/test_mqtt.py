"""The MQTT actuator on a real broker, with the example controller at the other end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from broker import Broker, Listener, make_certificates, wait_until
from qcface_sdk.actuators import Actuator, OpenCommand
from qcface_sdk.actuators.mqtt import MqttActuator
from qcface_sdk.backoff import Backoff
from qcface_sdk.clock import steady_seconds
from qcface_sdk.errors import ActuatorError, CommandExpiredError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.events.mqtt_topics import Topics
from qcface_sdk.events.signature import sign
from qcface_sdk.mqtt import MqttConnection, MqttOptions
from qcface_sdk.results import Outcome

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
EXAMPLE = EXAMPLES / "10_mqtt_door_controller.py"
SECRET = b"0123456789abcdef"
TOPIC = "qcface/front/open"


def command(life: float = 2.0) -> OpenCommand:
    event = DoorEvent.new(EventKind.DECISION, "front", "cam", outcome=Outcome.ACCEPT, subject="ann")
    return OpenCommand.of(event, life)


@pytest.fixture
def actuator(broker: Broker) -> Iterator[MqttActuator]:
    running = MqttActuator(MqttOptions(port=broker.port, timeout=1.0, keepalive=2))
    running.connection._backoff = Backoff(0.05, 0.1)
    assert running.connection.wait(5)
    yield running
    running.close()


def test_command_arrives_once_unretained_and_with_an_expiry(broker: Broker, actuator: MqttActuator) -> None:
    assert isinstance(actuator, Actuator)
    listener = Listener(broker.port, TOPIC)
    sent = command()
    actuator.open(sent)
    assert wait_until(lambda: listener.messages)
    (message,) = listener.messages
    values = json.loads(message.payload)
    assert (values["id"], values["subject"], values["event_id"]) == (sent.id, "ann", sent.event_id)
    assert 0 < values["expires_at"] - time.time() <= 2
    assert message.qos == 1
    assert not message.retain
    assert message.properties.MessageExpiryInterval in (1, 2)
    listener.close()
    later = Listener(broker.port, TOPIC)
    time.sleep(0.2)
    assert later.messages == []
    later.close()


def test_nobody_listening_is_told(actuator: MqttActuator) -> None:
    with pytest.raises(ActuatorError, match="no controller listens"):
        actuator.open(command())


def test_expired_command_is_not_sent(broker: Broker, actuator: MqttActuator) -> None:
    listener = Listener(broker.port, TOPIC)
    late = command()
    with pytest.raises(CommandExpiredError):
        actuator.open(replace(late, issued=late.issued - 3, expires=late.expires - 3))
    time.sleep(0.1)
    assert listener.messages == []
    listener.close()


def test_command_without_broker_fails_at_once_and_is_never_sent_later(broker: Broker, actuator: MqttActuator) -> None:
    broker.kill()
    assert wait_until(lambda: not actuator.connection.connected)
    with pytest.raises(ActuatorError, match="stays shut"):
        actuator.open(command())
    broker.start()
    listener = Listener(broker.port, TOPIC)
    assert actuator.connection.wait(10)
    time.sleep(0.3)
    assert listener.messages == []
    fresh = command()
    actuator.open(fresh)
    assert wait_until(lambda: [json.loads(one.payload)["id"] for one in listener.messages] == [fresh.id])
    listener.close()


def test_stalled_broker_costs_no_more_than_the_commands_life(broker: Broker, actuator: MqttActuator) -> None:
    listener = Listener(broker.port, TOPIC)
    broker.pause()
    began = steady_seconds()
    with pytest.raises(ActuatorError, match="did not acknowledge"):
        actuator.open(command(0.5))
    assert steady_seconds() - began < 30
    broker.resume()
    assert actuator.connection.wait(10)
    time.sleep(0.3)
    # What the broker had read before it stalled it may pass on; the receiver sees by expires_at that it is late.
    assert len(listener.messages) <= 1
    assert all(json.loads(one.payload)["expires_at"] < time.time() for one in listener.messages)
    listener.close()


class Controller:
    def __init__(self, *arguments: object, says: str = f"waiting for {TOPIC}") -> None:
        arguments = (sys.executable, "-u", str(EXAMPLE), *map(str, arguments))
        self.lines: list[str] = []
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert wait_until(lambda: any(line.startswith(says) for line in self.lines), 20)

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.strip() for line in iter(self._process.stdout.readline, ""))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_example_controller_opens_for_fresh_commands_only(broker: Broker, actuator: MqttActuator) -> None:
    raw = MqttConnection(MqttOptions(port=broker.port), "attacker")
    assert raw.wait(5)
    values = {"id": "1", "door": "front", "event_id": "e", "subject": "eve", "expires_at": time.time() + 1.5}
    raw.publish(TOPIC, json.dumps(values).encode(), retain=True)
    controller = Controller("front", "--port", broker.port)
    try:
        assert wait_until(lambda: "refused: stored by the broker" in controller.lines)
        actuator.open(command())
        assert wait_until(lambda: controller.lines[-1] == "open front for ann")
        attacks = [
            values | {"id": "2", "expires_at": time.time() - 0.5},
            values | {"id": "3", "expires_at": time.time() + 3600},
            values | {"id": "4", "door": "side"},
            {"id": "5"},
            "open",
            values | {"expires_at": "soon"},
        ]
        for attack in attacks:
            raw.publish(TOPIC, json.dumps(attack).encode())
        again = json.dumps(values | {"id": "7", "expires_at": time.time() + 1.5}).encode()
        raw.publish(TOPIC, again)
        raw.publish(TOPIC, again)
        assert wait_until(lambda: sum("refused" in line for line in controller.lines) == len(attacks) + 2)
        assert [line for line in controller.lines if line.startswith("open")] == [
            "open front for ann",
            "open front for eve",
        ]
    finally:
        controller.close()
        raw.close()


def test_signed_commands_cannot_be_forged(broker: Broker, tmp_path: Path) -> None:
    secret_file = tmp_path / "secret"
    secret_file.write_bytes(SECRET + b"\n")
    controller = Controller("front", "--host", "127.0.0.1", "--port", broker.port, "--secret-file", secret_file)
    signed = MqttActuator(MqttOptions(port=broker.port), secret=SECRET)
    assert signed.connection.wait(5)
    try:
        signed.open(command())
        assert wait_until(lambda: controller.lines[-1] == "open front for ann")
        body = json.dumps({"id": "1", "door": "front", "subject": "eve", "expires_at": time.time() + 1})
        forged = {"command": body, "headers": sign(b"another secret of 16", "1", body.encode())}
        signed.connection.publish(TOPIC, json.dumps(forged).encode())
        signed.connection.publish(TOPIC, body.encode())
        assert wait_until(lambda: sum("refused" in line for line in controller.lines) == 2)
        assert sum(line.startswith("open") for line in controller.lines) == 1
    finally:
        controller.close()
        signed.close()


def test_deployment_has_one_listener_to_commands_and_it_logs_in_over_tls(tmp_path: Path) -> None:
    ca, certificate, key = make_certificates(tmp_path)
    rights, logins, password = tmp_path / "acl", tmp_path / "logins", tmp_path / "password"
    rights.write_text((EXAMPLES / "deploy" / "mosquitto.acl").read_text().replace("qcface/", "site/qcface/"))
    password.write_text("a password\n")
    logins.write_text("".join(f"{name}:a password\n" for name in ("qcface", "controller-front", "homeassistant")))
    broker = Broker(
        tmp_path, f"password_file {logins}", f"acl_file {rights}", f"certfile {certificate}", f"keyfile {key}"
    )
    subprocess.run(["mosquitto_passwd", "-U", str(logins)], check=True, timeout=30)
    broker.start()
    where = ("front", "--port", broker.port, "--ca-file", ca, "--prefix", "site/qcface")
    options = MqttOptions(port=broker.port, username="qcface", password="a password", tls=True, ca_file=str(ca))
    door = MqttActuator(options, Topics("site/qcface"))
    try:
        assert door.connection.wait(10)
        with pytest.raises(ActuatorError, match="no controller listens"):
            door.open(command())
        login = ("--username", "controller-front", "--password-file")
        controller = Controller(*where, *login, password, says="waiting for site/qcface/front/open")
        logger = Listener(broker.port, "site/qcface/#", ("homeassistant", "a password"), ca)
        door.open(command())
        door.connection.publish("site/qcface/front/decision", b"{}")
        assert wait_until(lambda: controller.lines[-1] == "open front for ann")
        assert wait_until(lambda: logger.messages)
        assert [message.topic for message in logger.messages] == ["site/qcface/front/decision"]
        logger.close()
        controller.close()
        Controller(*where, *login, certificate, says="the broker refuses us").close()
    finally:
        door.close()
        broker.stop()
