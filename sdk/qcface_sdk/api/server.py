"""Serves the API in a thread of its own, and stops when told to."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from qcface_sdk.api.app import create_app
from qcface_sdk.api.keys import KeyFile
from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.api.state import ApiState
from qcface_sdk.errors import ApiServerError

_START_SECONDS = 15.0
_STOP_SECONDS = 10.0


class _Server(uvicorn.Server):
    """Leaves signals to the program that owns it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing."""
        yield


class ApiServer:
    """The API on a socket. `start` returns when it answers; `stop` when the last answer is sent.

    Parameters
    ----------
    state : ApiState
        What it serves.
    settings : ApiSettings
        Where it listens.
    """

    def __init__(self, state: ApiState, settings: ApiSettings) -> None:
        self._state, self._settings = state, settings
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Bind and begin to serve.

        Raises
        ------
        KeyFileError
            If the key file is missing, damaged or readable by others.
        ApiServerError
            If the address cannot be bound, or the TLS files cannot be used.
        """
        KeyFile(self._settings.keys).all()
        self._socket = _bind(self._settings)
        tls = self._settings.tls
        config = uvicorn.Config(
            create_app(self._state, self._settings),
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=self._settings.behind_proxy,
            forwarded_allow_ips="127.0.0.1",
            ssl_certfile=str(tls.certificate) if tls else None,
            ssl_keyfile=str(tls.key) if tls else None,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=5,
            h11_max_incomplete_event_size=64 * 1024,
        )
        try:
            config.load()
        except (OSError, ValueError) as error:
            self._socket.close()
            raise ApiServerError(f"the API cannot use its TLS files: {error}; check api.tls") from error
        self._server = _Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="qcface-api", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.stop()
                raise ApiServerError("the API did not start; the log has the details")
            time.sleep(0.01)

    @property
    def port(self) -> int:
        """Port it listens on; the real one where 0 was asked for."""
        if self._socket is None:
            raise ApiServerError("the API is not running; call start()")
        return int(self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """Address of the console."""
        host = self._settings.host
        return f"{'https' if self._settings.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}/"

    def is_alive(self) -> bool:
        """Return whether it serves."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Finish what is being answered, then close. Harmless when repeated."""
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)
        if self._socket is not None:
            self._socket.close()
        self._server = self._thread = self._socket = None


def _bind(settings: ApiSettings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
            bound.listen(128)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ApiServerError(
            f"the API cannot listen on {settings.host} port {settings.port}: {error.strerror or error}; is another "
            "program using it? choose another api.port"
        ) from error
    return bound
