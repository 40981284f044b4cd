"""Keeps a connection to a broker: connects in the background and again whenever it broke."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from qcface_sdk.backoff import Backoff
from qcface_sdk.errors import EventTransportError
from qcface_sdk.mqtt.options import LastWill, MqttOptions
from qcface_sdk.mqtt.session import MqttSession

_logger = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2


class MqttConnection:
    """Publishes over the session there is, or fails at once; nothing waits for a session to come. Thread-safe.

    Parameters
    ----------
    options : MqttOptions
        The broker.
    client_id : str
        Name of this client at the broker; two clients of one name throw each other out.
    will : LastWill, optional
        Availability topic.
    on_connect : callable, optional
        Called with the fresh session, before anyone else may publish.
    backoff : Backoff, optional
        Waits between attempts to connect.
    """

    def __init__(
        self,
        options: MqttOptions,
        client_id: str,
        *,
        will: LastWill | None = None,
        on_connect: Callable[[MqttSession], None] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        options.tls_context()  # a certificate file that cannot be read is the caller's mistake, now
        self.options = options
        self.connections = 0
        """Sessions so far."""
        self.last_error: str | None = None
        """Why there is no session; ``None`` while there is one."""
        self._client_id = client_id
        self._will = will
        self._on_connect = on_connect
        self._backoff = backoff or Backoff(first=0.2, longest=30)
        self._session: MqttSession | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{client_id}", daemon=True)
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether there is a session."""
        return self._session is not None and self._session.alive

    def wait(self, seconds: float) -> bool:
        """Wait for a session, at most so long; return whether there is one."""
        with self._changed:
            return self._changed.wait_for(lambda: self.connected, seconds)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        expiry: int | None = None,
        timeout: float | None = None,
    ) -> int:
        """Publish with QoS 1 over the session there is; return the broker's reason code.

        Parameters
        ----------
        topic, payload
            What.
        retain : bool
            Whether the broker keeps it for later subscribers.
        expiry : int, optional
            Seconds after which the broker drops it.
        timeout : float, optional
            Seconds for the broker's answer; default: that of the options.

        Raises
        ------
        EventTransportError
            If there is no session, or the broker refused or did not answer. Nothing is kept for later.
        """
        session = self._session
        if session is None or not session.alive:
            where = f"{self.options.host}:{self.options.port}"
            raise EventTransportError(f"broker {where} is not connected: {self.last_error or 'not yet'}")
        wait = self.options.timeout if timeout is None else timeout
        return session.publish(topic, payload, retain=retain, expiry=expiry, timeout=wait)

    def close(self) -> None:
        """Say goodbye. Harmless when repeated."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * self.options.timeout + 1)
        session, self._session = self._session, None
        if session is not None:
            session.close(self._will)

    def _run(self) -> None:
        while not self._stop.is_set():
            if self.connected:
                self._stop.wait(_LOOK_SECONDS)
                continue
            try:
                self._connect()
            except Exception as error:  # noqa: BLE001 - a thread that dies of anything would never connect again
                self._failed(error)
                self._stop.wait(self._backoff.next())

    def _connect(self) -> None:
        session = MqttSession(self.options, self._client_id, self._will)
        try:
            if self._will is not None:
                online = self._will.online.encode()
                session.publish(self._will.topic, online, retain=True, expiry=None, timeout=self.options.timeout)
            if self._on_connect is not None:
                self._on_connect(session)
        except BaseException:
            session.close()
            raise
        with self._changed:
            self._session = session
            self._changed.notify_all()
        self.connections += 1
        self.last_error = None
        self._backoff.reset()
        _logger.info("connected to %s", session.where)

    def _failed(self, error: Exception) -> None:
        if self.last_error is None:
            _logger.warning("no connection to broker: %s", error)
        self.last_error = str(error)
