"""The watch, health and metrics on doors that are made up."""

from __future__ import annotations

import json
import socket
import time
import types
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import free_port, wait_until
from qcface_sdk.camera import CaptureState, CaptureStatus, DoorStatus
from qcface_sdk.camera.stages import StageTimes
from qcface_sdk.errors import CameraError, EventStorageError, ServiceError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.events.log import EventLog
from qcface_sdk.service import health
from qcface_sdk.service.metrics import METRICS, render
from qcface_sdk.service.monitor import Monitor
from qcface_sdk.service.notify import notify
from qcface_sdk.service.runner import DoorRunner
from qcface_sdk.service.state import StateFolder
from qcface_sdk.service.watch import Watch


def status(busy: tuple[str, float] | None = None, arrived: int = 10, **values: object) -> DoorStatus:
    capture = CaptureStatus(CaptureState.RUNNING, arrived, 1, 2, 3, 4, 0, 0.1, None)
    stages = {"frame": StageTimes(5, 12.0, 30.0)}
    made = DoorStatus("front", "idle", "file film.avi", capture, stages, busy, {"accept": 2}, {}, 0)
    return made if not values else DoorStatus(**{name: getattr(made, name) for name in made.__slots__} | values)


class MadeUpDoor:
    """Takes a picture after two looks, unless it fails before; its first look brings an event."""

    def __init__(self, error: Exception | None = None, *, blind: bool = False) -> None:
        self.status, self.view = status(), None
        self._error, self._blind = error, blind

    def looks(self) -> Iterator[list[DoorEvent]]:
        yield [DoorEvent.new(EventKind.CAMERA_LOST, "front", "cam")]
        yield []
        if not self._blind:
            self.view = object()
            yield []
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        pass


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    made = EventLog(tmp_path / "events.db")
    yield made
    made.close()


def runner_of(door: MadeUpDoor, log: EventLog) -> DoorRunner:
    runner = DoorRunner("front", "cam", lambda: door, log)
    runner._door = door
    return runner


def kinds(log: EventLog) -> list[EventKind]:
    return [event.kind for event in reversed(log.recent())]


def test_hung_door_is_told_once_and_its_recovery_too(log: EventLog) -> None:
    door = MadeUpDoor()
    runner = runner_of(door, log)
    watch = Watch(lambda: [runner], log, hang_seconds=5)
    watch.look()
    assert watch.hung == {}
    door.status = status(busy=("embed", 6.0))
    for _ in range(3):
        watch.look()
    assert wait_until(lambda: kinds(log) == [EventKind.FAULT])
    problems = health.problems([runner], [], watch.hung, health.Reloads())
    assert problems == {"door front": "hangs in stage embed"}
    assert health.health(problems, [runner])["status"] == "failing"
    door.status = status()
    watch.look()
    assert kinds(log) == [EventKind.FAULT, EventKind.RECOVERED]
    assert log.recent(1)[0].reasons == ("door_hangs",)


def test_hang_of_the_log_itself_does_not_hang_the_watch(log: EventLog) -> None:
    door = MadeUpDoor()
    door.status = status(busy=("emit", 60.0))
    runner = runner_of(door, log)
    watch = Watch(lambda: [runner], log, hang_seconds=5)
    with log._lock:
        watch.look()
        assert watch.hung == {"front": "hangs in stage emit"}


def test_systemd_hears_nothing_while_a_door_hangs(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(0.2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        door = MadeUpDoor()
        runner = runner_of(door, log)
        watch = Watch(lambda: [runner], log, hang_seconds=5)
        watch.look()
        assert manager.recv(100) == b"WATCHDOG=1"
        door.status = status(busy=("embed", 6.0))
        watch.look()
        with pytest.raises(TimeoutError):
            manager.recv(100)
    assert not notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not notify("READY=1")


def test_clock_jump_removes_nothing_in_that_hour(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.emit(DoorEvent.new(EventKind.STARTED, "front", "cam"))
    tidied: list[int] = []
    watch = Watch(list, log, hang_seconds=5, tidy=[lambda: tidied.append(1)])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 365 * 86_400)
    watch.prune()
    assert (kinds(log), tidied) == ([EventKind.STARTED], [])
    watch.prune()
    assert (kinds(log), tidied) == ([], [1])


def test_gallery_that_vanished_is_told_once(log: EventLog) -> None:
    gone = {"front": "gallery people.db was removed"}
    runner = runner_of(MadeUpDoor(), log)
    watch = Watch(lambda: [runner], log, 5, lambda: gone)
    watch.look()
    watch.look()
    assert kinds(log) == [EventKind.FAULT]
    gone.clear()
    watch.look()
    assert kinds(log) == [EventKind.FAULT, EventKind.RECOVERED]


def test_frames_per_second_are_counted(log: EventLog) -> None:
    door = MadeUpDoor()
    runner = runner_of(door, log)
    watch = Watch(lambda: [runner], log, hang_seconds=5)
    watch.look()
    time.sleep(0.05)
    door.status = status(arrived=12)
    watch.look()
    assert 0 < watch.fps["front"] <= 2 / 0.05


def test_door_that_breaks_begins_again_and_says_so(log: EventLog) -> None:
    doors = [MadeUpDoor(error=CameraError("no such camera")), MadeUpDoor(error=RuntimeError("http://me:pw@x"))]

    def make() -> MadeUpDoor:
        return doors.pop(0) if doors else MadeUpDoor()

    runner = DoorRunner("front", "cam", make, log)
    runner.start()
    assert runner.join(20)
    assert runner.restarts == 2
    told = [EventKind.STARTED, EventKind.FAULT, EventKind.RECOVERED, EventKind.FAULT]
    assert kinds(log)[:4] == told
    assert kinds(log)[-1] is EventKind.STOPPED
    faults = [event.message for event in log.recent() if event.kind is EventKind.FAULT]
    assert faults == ["RuntimeError", "no such camera"]


def test_door_that_never_takes_a_picture_pauses_longer_each_time_and_says_so_once(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[tuple[float, str | None]] = []
    doors = [MadeUpDoor(CameraError("no such camera"), blind=True) for _ in range(8)]
    runner = DoorRunner("front", "cam", lambda: doors.pop(0) if doors else MadeUpDoor(), log)
    monkeypatch.setattr(runner._stop, "wait", lambda seconds: pauses.append((seconds, runner.problem)))
    runner.start()
    assert runner.join(20)
    assert runner.restarts == 8
    longest = [min(30.0, 0.5 * 2**failures) for failures in range(8)]
    assert all(most / 2 <= pause <= most for (pause, _), most in zip(pauses, longest, strict=True))
    assert {problem for _, problem in pauses} == {"no such camera"}
    assert runner.problem is None
    assert kinds(log) == [EventKind.STARTED, EventKind.FAULT, EventKind.RECOVERED, EventKind.STOPPED]


def test_door_that_worked_begins_again_soon(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    doors = [MadeUpDoor(CameraError("cable pulled")) for _ in range(8)]
    runner = DoorRunner("front", "cam", lambda: doors.pop(0) if doors else MadeUpDoor(), log)
    monkeypatch.setattr(runner._stop, "wait", pauses.append)
    runner.start()
    assert runner.join(20)
    assert len(pauses) == 8
    assert max(pauses) <= 0.5


def test_door_goes_on_although_its_log_is_full(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(event: DoorEvent) -> None:
        raise EventStorageError("disk full")

    monkeypatch.setattr(log, "emit", full)
    runner = DoorRunner("front", "cam", MadeUpDoor, log)
    runner.start()
    assert runner.join(20)


def samples_of(runner: DoorRunner) -> object:
    delivery = types.SimpleNamespace(name="mqtt", backlog=3, failures=1, last_error="down")
    return lambda: health.samples({"model": "m"}, [runner], [delivery], {}, {}, {"front": 9.5}, health.Reloads())


def test_every_metric_is_exported_and_readable(log: EventLog) -> None:
    body, kind = render(samples_of(runner_of(MadeUpDoor(), log)))
    assert kind.startswith("text/plain")
    text = body.decode()
    for name in METRICS:
        assert f"\n{name}" in "\n" + text, name
    assert 'qcface_stage_seconds{door="front",quantile="0.99",stage="frame"} 0.03' in text
    assert 'qcface_delivery_backlog{destination="mqtt"} 3.0' in text


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_monitor_answers_health_metrics_and_nothing_else(log: EventLog) -> None:
    answers = iter([{"status": "ok"}, {"status": "failing"}])
    monitor = Monitor("127.0.0.1", 0, lambda: next(answers), samples_of(runner_of(MadeUpDoor(), log)))
    try:
        assert get(monitor.port, "/health") == (200, b'{"status": "ok"}')
        assert get(monitor.port, "/health")[0] == 503
        assert get(monitor.port, "/live")[0] == 200
        assert b"qcface_camera_fps" in get(monitor.port, "/metrics")[1]
        assert get(monitor.port, "/etc/passwd")[0] == 404
    finally:
        monitor.close()


def test_port_in_use_is_named() -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(ServiceError, match=f"port {port}.*in use.*metrics.port"):
            Monitor("127.0.0.1", port, dict, lambda: iter(()))


def test_state_folder_belongs_to_one(tmp_path: Path) -> None:
    first = StateFolder(tmp_path / "state")
    with pytest.raises(ServiceError, match="another service uses"):
        StateFolder(tmp_path / "state")
    first.close()
    StateFolder(tmp_path / "state").close()
    (tmp_path / "file").write_text("")
    with pytest.raises(ServiceError, match="check service.state"):
        StateFolder(tmp_path / "file" / "state")


def test_problem_of_a_delivery_is_degraded_and_not_failing() -> None:
    delivery = types.SimpleNamespace(name="mqtt", last_error="no broker")
    dead = types.SimpleNamespace(name="file", last_error=None, alive=False)
    well = types.SimpleNamespace(name="hook", last_error=None, alive=True)
    assert health.problems([], [dead, well], {}, health.Reloads()).keys() == {"delivery file"}
    found = health.problems([], [delivery], {}, health.Reloads(problem="line 3"))
    assert found == {"delivery mqtt": "no broker", "configuration": "line 3"}
    assert json.loads(json.dumps(health.health(found, [])))["status"] == "degraded"
