from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import ApiServerError, KeyFileError
from qcface_sdk.gallery import Gallery


@pytest.fixture
def server_of(engine: FaceEngine, gallery: Gallery) -> Any:
    from qcface_sdk.api.server import ApiServer
    from qcface_sdk.api.settings import ApiSettings
    from qcface_sdk.api.state import ApiState

    def make(keys: Path, **options: Any) -> Any:
        return ApiServer(ApiState(engine, gallery), ApiSettings(keys, **{"port": 0, **options}))

    return make


def health(url: str) -> Any:
    with urllib.request.urlopen(f"{url}health", timeout=10) as answer:
        return json.load(answer)


def test_serves_until_stopped_and_can_be_stopped_twice(server_of: Any, keys: Path) -> None:
    from qcface_sdk.api.keys import KeyFile, Role

    KeyFile(keys).add("ann", Role.READ)
    server = server_of(keys)
    with pytest.raises(ApiServerError, match="not running"):
        _ = server.port
    server.start()
    url = server.url
    assert health(url) == {"status": "ok"}
    server.stop()
    server.stop()
    assert not server.is_alive()
    with pytest.raises(urllib.error.URLError):
        health(url)


def test_without_keys_it_does_not_start(server_of: Any, keys: Path) -> None:
    with pytest.raises(KeyFileError, match="qcface keys add"):
        server_of(keys).start()


def test_port_in_use_is_a_named_error(server_of: Any, keys: Path) -> None:
    from qcface_sdk.api.keys import KeyFile, Role

    KeyFile(keys).add("ann", Role.READ)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ApiServerError, match=r"api\.port"):
            server_of(keys, port=taken.getsockname()[1]).start()


def test_unusable_tls_files_are_a_named_error(server_of: Any, keys: Path, tmp_path: Path) -> None:
    from qcface_sdk.api.keys import KeyFile, Role
    from qcface_sdk.api.settings import TlsFiles

    KeyFile(keys).add("ann", Role.READ)
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ApiServerError, match="TLS"):
        server_of(keys, tls=TlsFiles(tmp_path / "bad.pem", tmp_path / "bad.pem")).start()


def _certificate(folder: Path) -> tuple[Path, Path]:
    from datetime import datetime, timedelta, timezone
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(timezone.utc)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    paths = folder / "door.pem", folder / "door.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption_algorithm=plain)
    )
    return paths


def test_https_with_a_certificate(server_of: Any, keys: Path, tmp_path: Path) -> None:
    import ssl

    from qcface_sdk.api.keys import KeyFile, Role
    from qcface_sdk.api.settings import TlsFiles

    KeyFile(keys).add("ann", Role.READ)
    certificate, key = _certificate(tmp_path)
    server = server_of(keys, tls=TlsFiles(certificate, key))
    server.start()
    try:
        trusted = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{server.url}health", timeout=10, context=trusted) as answer:
            assert answer.headers["strict-transport-security"]
        with pytest.raises(urllib.error.URLError, match="certificate"):
            health(server.url)
    finally:
        server.stop()


def test_command_line_makes_a_key_and_serves(tmp_path: Path) -> None:
    qcface = [sys.executable, "-m", "qcface_sdk.cli"]
    made = subprocess.run(
        [*qcface, "keys", "add", "keys.json", "me", "--role", "admin", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    secret = json.loads(made.stdout)["key"]
    listed = subprocess.run([*qcface, "keys", "list", "keys.json"], cwd=tmp_path, capture_output=True, text=True)
    assert "me" in listed.stdout
    assert secret not in listed.stdout
    command = [*qcface, "serve", "people.db", "--keys", "keys.json", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            line = serving.stdout.readline()
            url = line.split(" at ")[1].split()[0]
            request = urllib.request.Request(f"{url}v1/about", headers={"Authorization": f"Bearer {secret}"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert json.load(answer)["role"] == "admin"
        finally:
            serving.terminate()
        assert serving.wait(20) == 0
