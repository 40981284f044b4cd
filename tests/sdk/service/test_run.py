"""`qcface run` from outside: a process, a film, a broker, signals."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from broker import Broker, Listener, wait_until
from qcface_sdk.cli import main
from qcface_sdk.events import EventKind
from qcface_sdk.results import Outcome
from service_process import ServiceProcess

Make = Callable[..., ServiceProcess]


def mqtt(broker: Broker) -> str:
    return f'[mqtt]\nport = {broker.port}\nhome_assistant = "homeassistant"\ntimeout = 1.0'


def test_person_is_accepted_opened_for_and_told_of_everywhere(service: Make, broker: Broker) -> None:
    listener = Listener(broker.port)
    running = service(open='[door.open]\nkind = "mqtt"', more=mqtt(broker)).start()
    assert wait_until(lambda: listener.payloads("qcface/front/open"), 30), running.lines
    assert wait_until(lambda: any(event.kind is EventKind.OPENED for event in running.events()), 10)
    status, metrics = running.get("/metrics")
    assert status == 200
    assert 'qcface_events_total{door="front",kind="accept"} 1.0' in metrics
    assert 'qcface_door_up{door="front"} 1.0' in metrics
    status, health = running.get("/health")
    assert (status, json.loads(health)["status"]) == (200, "ok"), health
    assert running.end() == 0
    kinds = [event.kind for event in running.events()]
    assert (kinds[0], kinds[-1]) == (EventKind.STARTED, EventKind.STOPPED)
    assert running.written() == running.events()
    told = [json.loads(one)["id"] for one in listener.payloads("qcface/events")]
    assert told == [event.id for event in running.events()]
    opened = [json.loads(one)["event_id"] for one in listener.payloads("qcface/front/open")]
    assert opened == [event.id for event in running.accepts()]
    assert wait_until(lambda: listener.payloads("qcface/available")[-1:] == [b"offline"])
    listener.close()
    logged = "".join(running.lines)
    assert "eileen" not in logged, "the service's own log must not name people"
    assert all(json.loads(line)["level"] for line in running.lines)


def test_reload_takes_a_new_gallery_and_refuses_a_wrong_file(service: Make, scene: Path) -> None:
    running = service(rules="fmr = 1e-3")
    for file in running.folder.glob("people.db*"):
        file.unlink()
    running.start()
    assert wait_until(lambda: any(event.outcome is Outcome.REJECT for event in running.events()), 30)
    running.configure(rules="fmr = 2")
    running.send(signal.SIGHUP)
    assert wait_until(lambda: running.said("is refused, the old one stays"), 20)
    line = (running.folder / "door.toml").read_text().splitlines().index("fmr = 2") + 1
    assert running.said(f"line {line}: door[1].rules.fmr: fmr must lie between 0 and 1"), running.lines
    status, health = running.get("/health")
    assert (status, json.loads(health)["status"]) == (503, "degraded")
    assert running.accepts() == []
    for file in running.folder.glob("people.db*"):
        file.unlink()
    for file in scene.glob("people.db*"):
        (running.folder / file.name).write_bytes(file.read_bytes())
        (running.folder / file.name).chmod(0o600)
    running.configure(rules="fmr = 1e-3")
    running.send(signal.SIGHUP)
    assert wait_until(lambda: running.accepts(), 30), running.lines
    # The watch looks once a second.
    assert wait_until(lambda: json.loads(running.get("/health")[1])["status"] == "ok"), running.get("/health")
    assert 'qcface_reloads_total{result="refused"} 1.0' in running.get("/metrics")[1]
    assert running.end() == 0


def test_gallery_removed_while_running_shuts_the_door(service: Make) -> None:
    running = service(cooldown=0.5).start()
    assert wait_until(lambda: running.accepts(), 30)
    (running.folder / "people.db").unlink()
    assert wait_until(lambda: any(event.reasons == ("gallery_gone",) for event in running.events()), 20)
    status, health = running.get("/health")
    assert (status, json.loads(health)["status"]) == (503, "failing")
    running.end()


def test_kill_9_loses_no_event_and_repeats_no_opening(service: Make, broker: Broker) -> None:
    listener = Listener(broker.port)
    running = service(cooldown=0.3, open='[door.open]\nkind = "mqtt"', more=mqtt(broker))
    seen: list[str] = []
    for _ in range(2):
        running.start()
        before = len(running.accepts())
        assert wait_until(lambda: len(running.accepts()) > before, 30)  # noqa: B023 - called now
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        ids = [event.id for event in running.events()]
        assert ids[: len(seen)] == seen
        seen = ids
    running.start()
    assert wait_until(lambda: len(running.events()) > len(seen), 30)
    assert running.end() == 0
    ids = [event.id for event in running.events()]
    told = [json.loads(one)["id"] for one in listener.payloads("qcface/events")]
    assert set(told) == set(ids)
    assert list(dict.fromkeys(told)) == ids
    opened = [json.loads(one)["event_id"] for one in listener.payloads("qcface/front/open")]
    assert len(opened) == len(set(opened))
    assert set(opened) <= {event.id for event in running.accepts()}
    listener.close()


def test_check_says_what_is_there_and_what_is_not(service: Make, capsys: pytest.CaptureFixture[str]) -> None:
    checked = service()
    arguments = ["run", "--config", str(checked.folder / "door.toml"), "--check"]
    assert main(arguments) == 0
    assert "door front: file film.avi, opens by nothing" in capsys.readouterr().out
    hook = '[[events.webhook]]\nname = "a"\nurl = "https://example.org:70000/"\nsecret = {{ file = "{0}" }}'
    secret = checked.folder / "secret"
    secret.write_text("0123456789abcdef")
    checked.configure(more=hook.format(secret))
    assert main(arguments) == 2
    assert "70000" in capsys.readouterr().err
    checked.configure()
    (checked.folder / "film.avi").unlink()
    assert main(arguments) == 2
    assert "no recording" in capsys.readouterr().err
    assert not (checked.folder / "state").exists()


def test_second_service_on_the_same_state_is_refused(service: Make) -> None:
    first = service().start()
    second = service().start(wait=False)
    assert second.end(0) == 2
    assert "another service uses" in second.lines[-1]
    assert first.running
    assert first.end() == 0
