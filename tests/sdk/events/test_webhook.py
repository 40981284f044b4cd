from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import free_port, make_certificates
from qcface_sdk.errors import EventTransportError, OptionError
from qcface_sdk.events import DoorEvent, EventKind, EventSink
from qcface_sdk.events.signature import WINDOW_SECONDS, sign, verify
from qcface_sdk.events.webhook import Webhook
from webhooks import Receiver

SECRET = b"0123456789abcdef"
EVENT = DoorEvent.new(EventKind.TAMPER, "front", "cam", message="Kamera verdeckt")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def test_receiver_gets_the_event_and_can_verify_it(receiver: Receiver) -> None:
    sink = Webhook(f"http://127.0.0.1:{receiver.port}/hook?token=hidden", SECRET)
    assert isinstance(sink, EventSink)
    sink.emit(EVENT)
    ((headers, body),) = receiver.requests
    assert DoorEvent.from_dict(json.loads(body)) == EVENT
    assert verify(SECRET, headers, body)
    assert not verify(b"another secret of 16", headers, body)
    assert "hidden" not in sink.url


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 429, 500, 503])
def test_any_other_answer_than_2xx_is_an_error(receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    with pytest.raises(EventTransportError, match=str(status)):
        Webhook(f"http://127.0.0.1:{receiver.port}/", SECRET).emit(EVENT)


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(EventTransportError, match="refused"):
        Webhook(f"http://127.0.0.1:{free_port()}/", SECRET).emit(EVENT)


def test_tls_is_checked(tmp_path: Path) -> None:
    ca, certificate, key = make_certificates(tmp_path)
    running = Receiver(certificate=(certificate, key))
    try:
        url = f"https://127.0.0.1:{running.port}/"
        Webhook(url, SECRET, ca_file=str(ca)).emit(EVENT)
        with pytest.raises(EventTransportError, match="CERTIFICATE_VERIFY_FAILED"):
            Webhook(url, SECRET).emit(EVENT)
        assert len(running.requests) == 1
    finally:
        running.close()


@pytest.mark.parametrize(
    ("url", "secret", "word"),
    [
        ("http://example.org/", SECRET, "unencrypted"),
        ("ftp://example.org/", SECRET, "http"),
        ("https://user:pass@example.org/", SECRET, "password"),
        ("https:///path", SECRET, "host"),
        ("https://example.org/", b"short", "16 bytes"),
        ("https://example.org:65536/", SECRET, "[Pp]ort"),
        ("https://example.org:https/", SECRET, "[Pp]ort"),
        ("https://[::1/", SECRET, "IPv6"),
        ("https://a..example.org/", SECRET, "label"),
        ("https://example.org/t\N{LATIN SMALL LETTER U WITH DIAERESIS}r", SECRET, "%XX"),
        ("https://example.org/front door", SECRET, "%XX"),
        ("https://example.org/?to=front door", SECRET, "%XX"),
    ],
)
def test_bad_address_or_secret_is_refused(url: str, secret: bytes, word: str) -> None:
    with pytest.raises(OptionError, match=word):
        Webhook(url, secret)


def test_address_with_another_alphabet_is_posted_to(receiver: Receiver) -> None:
    Webhook(f"http://127.0.0.1:{receiver.port}/t%C3%BCr?a=%20&b=1", SECRET).emit(EVENT)
    assert len(receiver.requests) == 1
    assert Webhook("https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}ro.example/", SECRET).url.startswith("https://b")


def test_unreadable_ca_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no-such"):
        Webhook("https://example.org/", SECRET, ca_file=str(tmp_path / "no-such.pem"))


@given(body=st.binary(max_size=50), other=st.binary(max_size=50), age=st.floats(-600, 600))
def test_signature_holds_for_this_body_id_and_time_only(body: bytes, other: bytes, age: float) -> None:
    headers = sign(SECRET, "id-1", body, now=10_000)
    assert verify(SECRET, headers, body, now=10_000 + age) == (abs(age) <= WINDOW_SECONDS)
    assert verify(SECRET, headers, other, now=10_000) == (body == other)
    assert not verify(SECRET, headers | {"QCFace-Event-Id": "id-2"}, body, now=10_000)
    assert not verify(SECRET, headers | {"QCFace-Timestamp": "10001"}, body, now=10_000)


@pytest.mark.parametrize("timestamp", ["", "soon", "-1", "1e4", "٣", "9" * 400])
def test_timestamp_that_is_no_number_is_refused(timestamp: str) -> None:
    headers = sign(SECRET, "id", b"", now=0) | {"QCFace-Timestamp": timestamp}
    assert not verify(SECRET, headers, b"", now=0)
