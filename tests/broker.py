"""A real mosquitto on loopback that can be killed and started again, and certificates for it."""

from __future__ import annotations

import datetime
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """One mosquitto without persistence: what it had not passed on is gone when it is killed."""

    def __init__(self, folder: Path, *lines: str) -> None:
        if MOSQUITTO is None:
            pytest.skip("mosquitto is not installed (Debian package mosquitto)")
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        # As root it would become another user, who may not read the test's folder.
        first = ["user root"] if os.getuid() == 0 else []
        lines = (*first, f"listener {self.port} 127.0.0.1", "allow_anonymous true", *lines)
        self._config.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Broker:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self._config)], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.02)
        self.kill()
        raise AssertionError(self._log.read_text())

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None


def make_certificates(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path, Path]:
    """Return CA certificate, server certificate and server key, for one host."""
    now = datetime.datetime.now(datetime.timezone.utc)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])

    def certificate(name: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(authority).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))

    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    issuer = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    ca = certificate(authority, authority_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
    ca = ca.add_extension(issuer, False)
    server = certificate(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]), server_key.public_key())
    try:
        import ipaddress

        names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        names = x509.DNSName(host)
    server = server.add_extension(x509.SubjectAlternativeName([names]), False)
    server = server.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), False)
    files = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(ca.sign(authority_key, hashes.SHA256()).public_bytes(pem))
    files[1].write_bytes(server.sign(authority_key, hashes.SHA256()).public_bytes(pem))
    none = serialization.NoEncryption()
    files[2].write_bytes(server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    return files


class Listener:
    """A subscriber that remembers what it got, retained or not."""

    def __init__(
        self, port: int, topic: str = "#", login: tuple[str, str] | None = None, ca: Path | None = None
    ) -> None:
        from paho.mqtt.client import Client, MQTTv5
        from paho.mqtt.enums import CallbackAPIVersion

        self.messages: list[object] = []
        self._topic = topic
        self._ready = 0
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        if login is not None:
            self._client.username_pw_set(*login)
        if ca is not None:
            self._client.tls_set(str(ca))
        self._client.reconnect_delay_set(0.1, 0.2)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = lambda client, data, message: self.messages.append(message)
        self._client.connect("127.0.0.1", port, keepalive=5)
        self._client.loop_start()
        self.wait_ready(1)

    def _on_subscribe(self, *_: object) -> None:
        self._ready += 1

    def wait_ready(self, count: int) -> None:
        assert wait_until(lambda: self._ready >= count)

    @property
    def subscriptions(self) -> int:
        return self._ready

    def payloads(self, topic: str) -> list[bytes]:
        return [message.payload for message in self.messages if message.topic == topic]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def wait_until(condition: object, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False
