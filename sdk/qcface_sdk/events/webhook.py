"""Events as signed HTTP POST requests."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from urllib.parse import urlsplit

from qcface_sdk.checks import check_positive
from qcface_sdk.errors import EventTransportError, OptionError
from qcface_sdk.events.event import DoorEvent
from qcface_sdk.events.signature import check_secret, sign

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PATH = re.compile("[!-~]*")
"""What a path may consist of on the wire: ASCII that is neither blank nor control."""


class Webhook:
    """Posts each event to one address; any 2xx answer means that it was taken. An `EventSink`. Thread-safe.

    Redirects are not followed: the answer to an event is the receiver's own.

    Parameters
    ----------
    url : str
        ``https://...``; plain ``http://`` only to this machine, or with `allow_plain`.
    secret : bytes
        Shared with the receiver, see `qcface_sdk.events.signature`.
    timeout : float
        Seconds for connecting and for the answer.
    ca_file : str, optional
        Certificates to trust instead of the system's.
    allow_plain : bool
        Send events unencrypted over a network.

    Raises
    ------
    OptionError
        If the address or the secret cannot be used.
    """

    def __init__(
        self, url: str, secret: bytes, *, timeout: float = 5, ca_file: str | None = None, allow_plain: bool = False
    ) -> None:
        try:
            parts = urlsplit(url)
            self._port = parts.port
            (parts.hostname or "").encode("idna")
        except ValueError as error:
            raise OptionError(
                f"a webhook must be http(s)://host/path without a password, got {url!r}: {error}"
            ) from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise OptionError(f"a webhook must be http(s)://host/path without a password, got {url!r}")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_plain:
            raise OptionError(f"{url!r} would send events unencrypted; use https, or set allow_plain")
        # Without the query, which may hold a token: this is what messages and logs show.
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path}"
        if not _PATH.fullmatch(parts.path + parts.query):
            raise OptionError(f"path and query of {self.url!r} must be ASCII without blanks; write others as %XX")
        self._parts = parts
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._secret = check_secret(secret)
        self._timeout = check_positive("timeout", timeout)
        try:
            self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        except (OSError, ssl.SSLError) as error:
            raise OptionError(f"ca_file {ca_file!r} cannot be read: {error}") from error

    def emit(self, event: DoorEvent) -> None:
        """Post one event; return when the receiver has answered 2xx.

        Raises
        ------
        EventTransportError
            If it did not: unreachable, not to be trusted, too slow, or another answer.
        """
        body = json.dumps(event.to_dict(), ensure_ascii=False, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "qcface"} | sign(self._secret, event.id, body)
        connection = self._connection()
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            answer.read(4096)
        except (OSError, http.client.HTTPException) as error:
            raise EventTransportError(f"webhook {self.url}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise EventTransportError(f"webhook {self.url} answered {answer.status} {answer.reason}, wanted 2xx")

    def close(self) -> None:
        """Nothing is held between events."""

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=self._timeout)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=self._tls)
