"""Where the broker is and how it is to be trusted."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from qcface_sdk.errors import OptionError


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """Address, identity and trust of a broker."""

    host: str = "127.0.0.1"
    """Name or address."""
    port: int = 1883
    """1883 is usual without TLS, 8883 with."""
    username: str | None = None
    """``None``: no login."""
    password: str | None = field(default=None, repr=False)
    """Of the login; never shown."""
    tls: bool = False
    """Encrypt, and check the broker's certificate and name. Cannot be half on: there is no option to skip the check."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    cert_file: str | None = None
    """Our certificate, where the broker asks for one."""
    key_file: str | None = None
    """Its key."""
    keepalive: int = 15
    """Seconds without traffic after which the broker is asked whether it lives."""
    timeout: float = 5.0
    """Seconds for connecting, and for the broker's answer to a message."""

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what TLS is made with, or ``None`` without.

        Raises
        ------
        OptionError
            If a certificate file cannot be read.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            names = ", ".join(str(name) for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise OptionError(f"TLS files {names} cannot be used: {error}") from error
        return context


@dataclass(frozen=True, slots=True)
class LastWill:
    """What the broker publishes, retained, when we vanish."""

    topic: str
    """Where."""
    online: str = "online"
    """Published by us, retained, at every connection."""
    offline: str = "offline"
    """Published when we close, or by the broker when we vanish."""
