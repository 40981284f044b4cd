"""Signatures of webhooks and open commands: HMAC-SHA256 with a shared secret.

What is signed is ``TIMESTAMP.ID.BODY``: the unix second of the attempt, the event id, and the bytes sent. So neither
can be taken from another message, and an old message is recognised by its time.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from qcface_sdk.errors import OptionError

ID_HEADER = "QCFace-Event-Id"
TIME_HEADER = "QCFace-Timestamp"
SIGNATURE_HEADER = "QCFace-Signature"
WINDOW_SECONDS = 300
"""Longest age of a message that `verify` takes; every delivery attempt is signed anew."""
MIN_SECRET_BYTES = 16
"""Shortest secret: 128 bits."""


def check_secret(secret: bytes) -> bytes:
    """Return the secret if it is long enough."""
    if len(secret) < MIN_SECRET_BYTES:
        raise OptionError(
            f"a signing secret must have at least {MIN_SECRET_BYTES} bytes, got {len(secret)}; "
            "make one with: openssl rand -hex 32"
        )
    return secret


def sign(secret: bytes, event_id: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """Return the three headers of a signed message."""
    timestamp = str(int(time.time() if now is None else now))
    headers = {ID_HEADER: event_id, TIME_HEADER: timestamp}
    return headers | {SIGNATURE_HEADER: f"v1={_digest(secret, timestamp, event_id, body)}"}


def verify(
    secret: bytes, headers: Mapping[str, str], body: bytes, *, window: float = WINDOW_SECONDS, now: float | None = None
) -> bool:
    """Return whether a message was signed with this secret, and lately; for the receiver.

    Parameters
    ----------
    secret : bytes
        The shared secret.
    headers : mapping
        Header names to values, in any case.
    body : bytes
        As received, before any parsing.
    window : float
        Longest age and longest lead of the message in seconds. Within it a replay is recognised by its event id,
        which a receiver should remember for so long.
    now : float, optional
        Unix seconds; default: the wall clock.

    Examples
    --------
    >>> headers = sign(b"sixteen bytes or", "an-id", b"{}", now=1000)
    >>> verify(b"sixteen bytes or", headers, b"{}", now=1010)
    True
    >>> verify(b"sixteen bytes or", headers, b"{}", now=2000)
    False
    """
    lower = {name.lower(): value for name, value in headers.items()}
    timestamp, event_id = lower.get(TIME_HEADER.lower(), ""), lower.get(ID_HEADER.lower(), "")
    given = lower.get(SIGNATURE_HEADER.lower(), "")
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
        return False
    if abs((time.time() if now is None else now) - int(timestamp)) > window:
        return False
    wanted = f"v1={_digest(secret, timestamp, event_id, body)}"
    return hmac.compare_digest(wanted.encode(), given.encode())


def _digest(secret: bytes, timestamp: str, event_id: str, body: bytes) -> str:
    message = f"{timestamp}.{event_id}.".encode() + body
    return hmac.new(check_secret(secret), message, hashlib.sha256).hexdigest()
