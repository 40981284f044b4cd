"""One connection to a broker, from CONNECT to its end; it is never reconnected.

paho-mqtt keeps messages that were not acknowledged and sends them again after a reconnection. For an open command
that would be a door opened late; for events the log keeps them already. So a broken session is thrown away with all
it holds, and `MqttConnection` makes a new one.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import Any

from qcface_sdk.errors import BackendUnavailableError, EventTransportError
from qcface_sdk.mqtt.options import LastWill, MqttOptions

NO_SUBSCRIBERS = 16
"""Reason code of an acknowledgement: the broker has the message, and nobody listens."""


class MqttSession:
    """A live connection. Thread-safe.

    Raises
    ------
    EventTransportError
        If the broker cannot be reached, cannot be trusted, or refuses.
    BackendUnavailableError
        If paho-mqtt is not installed.
    """

    def __init__(self, options: MqttOptions, client_id: str, will: LastWill | None) -> None:
        self.where = f"broker {options.host}:{options.port}"
        self._timeout = options.timeout
        self._changed = threading.Condition()
        self._connected: bool | None = None
        self._ended = False
        self._reason = "it did not answer"
        self._acknowledged: dict[int, int] = {}
        self._client = self._open(options, client_id, will)

    def _open(self, options: MqttOptions, client_id: str, will: LastWill | None) -> Any:
        try:
            from paho.mqtt.client import Client, MQTTv5
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            wanted = 'MQTT needs paho-mqtt; install it with: pip install "qcface-sdk[server]"'
            raise BackendUnavailableError(wanted) from error
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, reconnect_on_failure=False)
        client.connect_timeout = options.timeout
        client.username_pw_set(options.username, options.password)
        context = options.tls_context()
        wrapped: list[ssl.SSLSocket] = []
        if context is not None:
            client.tls_set_context(_remembering(context, wrapped))
        if will is not None:
            client.will_set(will.topic, will.offline, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        try:
            client.connect(options.host, options.port, keepalive=options.keepalive, clean_start=True)
        except (OSError, ValueError) as error:
            # paho forgets to close the socket of a failed handshake.
            for connection in wrapped:
                connection.close()
            raise EventTransportError(f"{self.where}: {type(error).__name__}: {error}") from error
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connected is not None, options.timeout)
            refused = not self._connected
        if refused:
            client.loop_stop()
            raise EventTransportError(f"{self.where} refused: {self._reason}; check login and access rights")
        return client

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return bool(self._connected)

    def publish(self, topic: str, payload: bytes, *, retain: bool, expiry: int | None, timeout: float) -> int:
        """Publish with QoS 1; return the broker's reason code once it has the message.

        Raises
        ------
        EventTransportError
            If the broker refused it, or did not answer in time; it may have the message nevertheless.
        """
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        if not self._connected:
            raise EventTransportError(f"{self.where} is not connected: {self._reason}")
        # Not under our lock: paho calls back under its own, which publish() takes as well.
        sent = self._client.publish(topic, payload, qos=1, retain=retain, properties=properties)
        with self._changed:
            self._changed.wait_for(lambda: sent.mid in self._acknowledged or not self._connected, timeout)
            code = self._acknowledged.pop(sent.mid, None)
        if code is None:
            self.abort()
            raise EventTransportError(f"{self.where} did not acknowledge {topic}: {self._reason}")
        if code >= 128:
            raise EventTransportError(f"{self.where} refused {topic} with reason code {code}; check its access rights")
        return code

    def close(self, will: LastWill | None = None) -> None:
        """Say goodbye; with a will, publish its offline text first, for a proper goodbye cancels the will."""
        if will is not None and self._connected:
            with suppress(EventTransportError):
                self.publish(will.topic, will.offline.encode(), retain=True, expiry=None, timeout=1.0)
        self._note(False, "it was closed")
        self._client.disconnect()
        with self._changed:
            self._changed.wait_for(lambda: self._ended, 1.0)
        self.abort()

    def abort(self) -> None:
        """End the connection at once; what was not sent yet never is."""
        self._note(False, self._reason)
        connection = self._client.socket()
        if connection is not None:
            with suppress(OSError):
                # Closing with a linger of 0 drops what the kernel has not sent (socket(7)).
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._note(not reason.is_failure, str(reason))

    def _on_disconnect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._ended = True
        self._note(False, f"the connection ended ({reason})")

    def _on_publish(self, client: Any, data: Any, mid: int, reason: Any, properties: Any) -> None:
        with self._changed:
            self._acknowledged[mid] = int(reason.value)
            self._changed.notify_all()

    def _note(self, connected: bool, reason: str) -> None:
        with self._changed:
            # The first reason is the cause; that the connection then ended is its consequence.
            self._reason = self._reason if self._connected is False else reason
            self._connected = connected
            self._changed.notify_all()


def _remembering(context: ssl.SSLContext, wrapped: list[ssl.SSLSocket]) -> ssl.SSLContext:
    wrap = context.wrap_socket

    def wrap_and_remember(*values: Any, **named: Any) -> ssl.SSLSocket:
        wrapped.append(wrap(*values, **named))
        return wrapped[-1]

    context.wrap_socket = wrap_and_remember  # type: ignore[method-assign]
    return context
