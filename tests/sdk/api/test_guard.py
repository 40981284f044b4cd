from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from qcface_sdk.api.settings import ApiSettings
from qcface_sdk.errors import OptionError


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.evil.example:80"])
def test_foreign_host_is_refused(api: Any, host: str) -> None:
    assert api.reader.get("/v1/doors", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "localhost:8470", "127.0.0.1:1", "[::1]:8470", "LOCALHOST"])
def test_own_host_passes(api: Any, host: str) -> None:
    assert api.reader.get("/v1/doors", headers={"Host": host}).status_code == 200


def test_form_of_a_foreign_page_is_refused_even_with_a_key(api: Any, eileen: bytes) -> None:
    headers = {"Origin": "https://evil.example"}
    assert api.admin.delete("/v1/subjects/ada", headers=headers).status_code == 403
    assert api.admin.post("/v1/faces", headers=headers, files={"image": eileen}).status_code == 403
    assert api.admin.get("/v1/doors", headers={"Origin": "http://localhost:8470"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/console/console.js", "/v1/about", "/v1/nothing", "/health"])
def test_every_answer_carries_the_security_headers(api: Any, path: str) -> None:
    headers = api.anybody.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "server" not in headers


def test_declared_large_body_is_refused_unread(make_api: Any) -> None:
    api = make_api(max_body_bytes=1000)
    answer = api.reader.post("/v1/faces", content=b"x" * 1001)
    assert answer.status_code == 413
    assert "1000" in answer.json()["detail"]


def test_undeclared_large_body_is_cut_off(make_api: Any) -> None:
    api = make_api(max_body_bytes=1000)

    def parts() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(30):
            yield b"y" * 100

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert api.reader.post("/v1/faces", content=parts(), headers=headers).status_code == 413


def test_bad_content_length_is_refused(api: Any) -> None:
    assert api.reader.post("/v1/faces", headers={"Content-Length": "-5"}).status_code == 400


def test_reach_beyond_this_machine_needs_tls(keys: Any) -> None:
    with pytest.raises(OptionError, match="TLS"):
        ApiSettings(keys, host="0.0.0.0")
    assert ApiSettings(keys, host="0.0.0.0", behind_proxy=True).allowed_hosts[-1] == "0.0.0.0"
    assert ApiSettings(keys).is_loopback
    assert ApiSettings(keys, host="::1").is_loopback


@pytest.mark.parametrize(
    "options", [{"port": 70_000}, {"port": True}, {"max_body_bytes": 0}, {"concurrent": 0}, {"requests_per_minute": -1}]
)
def test_settings_out_of_range_are_refused(keys: Any, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        ApiSettings(keys, **options)
