from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker import wait_until
from qcface_sdk.backoff import Backoff
from qcface_sdk.errors import EventFormatError, EventTransportError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.events.delivery import Delivery
from qcface_sdk.events.log import EventLog
from qcface_sdk.events.webhook import Webhook
from webhooks import Receiver


class Fickle:
    """Refuses as told, and remembers what it took."""

    def __init__(self, *refusals: bool) -> None:
        self.refusals = list(refusals)
        self.taken: list[DoorEvent] = []
        self.closed = False

    def emit(self, event: DoorEvent) -> None:
        if self.refusals and self.refusals.pop(0):
            raise EventTransportError("not now")
        self.taken.append(event)

    def close(self) -> None:
        self.closed = True


def event() -> DoorEvent:
    return DoorEvent.new(EventKind.FAULT, "front", "cam")


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.db")


def start(log: EventLog, sink: Fickle) -> Delivery:
    delivery = Delivery(log, "there", sink, Backoff(first=0.001, longest=0.01))
    delivery.start()
    return delivery


def test_events_arrive_in_order_in_spite_of_refusals(log: EventLog) -> None:
    sink = Fickle(True, False, True, True, False, False, True)
    delivery = start(log, sink)
    sent = [event() for _ in range(6)]
    for one in sent:
        log.emit(one)
    assert wait_until(lambda: len(sink.taken) == 6)
    assert sink.taken == sent
    assert wait_until(lambda: delivery.backlog == 0)
    assert delivery.failures == 4
    assert delivery.last_error is None
    delivery.close()
    assert sink.closed
    assert not delivery.alive


def test_next_start_goes_on_where_the_last_one_ended(log: EventLog) -> None:
    down = Fickle(*[True] * 10_000)
    delivery = start(log, down)
    log.emit(first := event())
    assert wait_until(lambda: delivery.last_error == "not now")
    delivery.close()
    log.emit(second := event())
    up = Fickle()
    delivery = start(log, up)
    assert wait_until(lambda: len(up.taken) == 2)
    assert up.taken == [first, second]
    delivery.close()


def test_trouble_of_one_destination_is_no_others(log: EventLog) -> None:
    stuck, fine = Fickle(*[True] * 10_000), Fickle()
    deliveries = [Delivery(log, name, sink, Backoff(0.01, 0.01)) for name, sink in (("a", stuck), ("b", fine))]
    for delivery in deliveries:
        delivery.start()
    log.emit(event())
    assert wait_until(lambda: len(fine.taken) == 1)
    for delivery in deliveries:
        delivery.close()
    assert stuck.taken == []


def test_failure_of_any_kind_is_told_and_tried_again(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Fickle()
    steps = [UnicodeEncodeError("ascii", "", 0, 1, "secret"), EventFormatError("schema 9"), ValueError("port 70000")]
    load, waits = log._load, Backoff(first=0.001, longest=0.01)
    told: list[str | None] = []

    def loading(data: str) -> DoorEvent:
        if steps:
            raise steps.pop(0)
        return load(data)

    def next_wait() -> float:
        told.append(delivery.last_error)
        return 0.001

    monkeypatch.setattr(log, "_load", loading)
    monkeypatch.setattr(waits, "next", next_wait)
    delivery = Delivery(log, "there", sink, waits)
    log.emit(sent := event())
    delivery.start()
    assert wait_until(lambda: sink.taken == [sent])
    assert wait_until(lambda: delivery.last_error is None)
    assert told == ["UnicodeEncodeError", "schema 9", "ValueError"]
    assert delivery.failures == 3
    assert delivery.alive
    delivery.close()


_SENDER = """
import sys
from qcface_sdk.backoff import Backoff
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.events.delivery import Delivery
from qcface_sdk.events.log import EventLog
from qcface_sdk.events.webhook import Webhook
log = EventLog(sys.argv[1])
Delivery(log, "hook", Webhook(sys.argv[2], b"0123456789abcdef"), Backoff(0.01, 0.05)).start()
while True:
    event = DoorEvent.new(EventKind.FAULT, "front", "cam")
    log.emit(event)
    print(event.id, flush=True)
"""


def test_webhook_gets_every_acknowledged_event_although_sender_and_receiver_are_killed(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    receiver = Receiver()
    acknowledged: list[str] = []
    arrived: list[str] = []
    for round_ in range(3):
        command = [sys.executable, "-c", _SENDER, str(path), f"http://127.0.0.1:{receiver.port}/"]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert sender.stdout is not None
        acknowledged += [sender.stdout.readline().strip() for _ in range(10)]
        if round_ == 1:
            port = receiver.port
            receiver.close()
            arrived += [json.loads(body)["id"] for _, body in receiver.requests]
            acknowledged += [sender.stdout.readline().strip() for _ in range(10)]
            receiver = Receiver(port)
        sender.send_signal(signal.SIGKILL)
        acknowledged += sender.stdout.read().split("\n")[:-1]
        sender.wait()
        sender.stdout.close()
    log = EventLog(path)
    delivery = Delivery(log, "hook", Webhook(f"http://127.0.0.1:{receiver.port}/", b"0123456789abcdef"))
    delivery.start()
    assert wait_until(lambda: delivery.backlog == 0, 30)
    delivery.close()
    arrived += [json.loads(body)["id"] for _, body in receiver.requests]
    receiver.close()
    assert set(acknowledged) <= set(arrived)
    firsts = list(dict.fromkeys(arrived))
    assert firsts == sorted(firsts)


def test_idle_delivery_of_a_delivered_log_sleeps(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.emit(event())
    looks: list[str] = []
    monkeypatch.setattr(log, "pending", lambda name: looks.append(name) or [])
    delivery = start(log, Fickle())
    time.sleep(0.5)
    delivery.close()
    assert len(looks) <= 10


def test_backoff_grows_to_its_limit_and_starts_again() -> None:
    waits = Backoff(first=1, longest=8)
    series = [waits.next() for _ in range(6)]
    assert all(limit / 2 <= wait <= limit for wait, limit in zip(series, (1, 2, 4, 8, 8, 8), strict=True))
    waits.reset()
    assert waits.next() <= 1


def test_close_does_not_wait_for_the_backoff(log: EventLog) -> None:
    delivery = Delivery(log, "there", Fickle(*[True] * 10), Backoff(first=60, longest=60))
    delivery.start()
    log.emit(event())
    assert wait_until(lambda: delivery.last_error is not None)
    began = time.monotonic()
    delivery.close()
    assert time.monotonic() - began < 20
    assert not delivery.alive
