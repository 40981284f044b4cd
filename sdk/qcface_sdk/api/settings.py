"""What an operator may set of the API."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from qcface_sdk.checks import check_positive, check_positive_int
from qcface_sdk.errors import OptionError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificate chain and private key, PEM files."""

    certificate: Path
    """Server certificate, then intermediates."""
    key: Path
    """Private key, without a pass phrase."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the API listens and what it lets in. The defaults reach nobody but this machine."""

    keys: Path
    """Key file made by ``qcface keys``. There is no default key and no way to switch keys off."""
    host: str = "127.0.0.1"
    """Address to bind. Anything but a loopback address needs `tls`."""
    port: int = 8470
    """TCP port."""
    hosts: tuple[str, ...] = ()
    """Further host names that requests may carry (``door.lan``); others are refused, which stops DNS rebinding."""
    tls: TlsFiles | None = None
    """Serve HTTPS with these files."""
    behind_proxy: bool = False
    """A reverse proxy on this machine terminates TLS: allows a non-loopback `host` without `tls`."""
    max_body_bytes: int = 8 * 1024 * 1024
    """Largest request body."""
    max_pixels: int = 25_000_000
    """Largest picture, in pixels, judged by its header before it is decoded."""
    requests_per_minute: float = 240.0
    """Requests a key may make per minute, in bursts of a quarter of it. The same holds for failed log-ins of an
    address, but at most 60."""
    concurrent: int = 4
    """Pictures worked on at a time; more are answered 503 at once rather than queued."""

    def __post_init__(self) -> None:
        """Refuse values out of range, and plain HTTP beyond this machine."""
        if isinstance(self.port, bool) or not isinstance(self.port, int) or not 0 <= self.port <= 65535:
            raise OptionError(f"api.port must be 0..65535, got {self.port!r}")
        check_positive_int("api.max_body_bytes", self.max_body_bytes)
        check_positive_int("api.max_pixels", self.max_pixels)
        check_positive_int("api.concurrent", self.concurrent)
        check_positive("api.requests_per_minute", self.requests_per_minute)
        if not self.is_loopback and self.tls is None and not self.behind_proxy:
            raise OptionError(
                f"api.host {self.host} reaches beyond this machine, but there is no TLS: keys and faces would travel "
                "in the clear; set api.tls, or api.behind_proxy if a proxy on this machine terminates TLS"
            )

    @property
    def is_loopback(self) -> bool:
        """Whether `host` can be reached from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Host names a request may carry."""
        return tuple(dict.fromkeys(("localhost", "127.0.0.1", "[::1]", self.host, *self.hosts)))
