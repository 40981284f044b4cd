"""What a reload takes over, takes anew and cannot take: lines of relays that one program has at a time, the console."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from broker import wait_until
from qcface_sdk.actuators import OpenCommand
from qcface_sdk.api.keys import KeyFile, Role
from qcface_sdk.errors import ActuatorError, GalleryError
from qcface_sdk.events import EventKind
from qcface_sdk.gallery import Gallery
from qcface_sdk.service import Service, building, load_config
from qcface_sdk.service import service as service_module
from service_process import ServiceProcess

Make = Callable[..., ServiceProcess]
GPIO = '[door.open]\nkind = "gpio"\nline = {line}'
SIDE = '[[door]]\nname = "side"\nsource = "film.avi"\n[door.capture]\nrealtime = true\nloop = true\n'


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> dict[int, object]:
    """Lines that are held, and by whom; as the kernel does it, a second one is refused."""
    held: dict[int, object] = {}

    class Relay:
        def __init__(self, chip: str, line: int, **_: object) -> None:
            if line in held:
                raise ActuatorError(f"GPIO line {line} of {chip}: Device or resource busy")
            self._line = line
            held[line] = self

        def open(self, command: OpenCommand) -> None:
            assert held.get(self._line) is self

        def close(self) -> None:
            if held.get(self._line) is self:
                del held[self._line]

    monkeypatch.setattr(building, "GpioActuator", Relay)
    return held


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_reload_keeps_a_line_that_stays_the_same_and_lets_go_of_one_before_it_takes_it_again(
    service: Make, lines: dict[int, object]
) -> None:
    path = service(open=GPIO.format(line=7), more=SIDE + GPIO.format(line=8)).folder / "door.toml"
    with Service(load_config(path)) as running:
        front, side = lines[7], lines[8]
        edit(path, "cooldown = 1", "cooldown = 2")
        assert running.reload_file(path), running.reloads.problem
        assert wait_until(lambda: running.doors["front"].door is not None, 20)
        assert lines == {7: front, 8: side}
        # The two doors change lines.
        edit(path, "line = 8", "line = 9")
        edit(path, "line = 7", "line = 8")
        edit(path, "line = 9", "line = 7")
        assert running.reload_file(path), running.reloads.problem
        assert wait_until(lambda: set(lines) == {7, 8}, 20)
        assert not {front, side} & set(lines.values())
        assert wait_until(lambda: all(runner.door is not None for runner in running.doors.values()), 20)
        assert all(runner.restarts == 0 for runner in running.doors.values())
    assert lines == {}


def test_door_whose_new_line_cannot_be_had_stays_shut_and_says_so_until_it_can(
    service: Make, lines: dict[int, object]
) -> None:
    path = service(open=GPIO.format(line=7)).folder / "door.toml"
    with Service(load_config(path)) as running:
        lines[8] = "another program"
        edit(path, "line = 7", "line = 8")
        assert running.reload_file(path), running.reloads.problem
        assert wait_until(lambda: "line 8" in running.problems().get("door front", ""), 20)
        assert running.doors["front"].door is None, "it sees nobody, so it opens for nobody"
        assert running.health()["status"] == "failing"
        assert lines == {8: "another program"}
        assert EventKind.FAULT in {event.kind for event in running.log.recent()}
        del lines[8]
        assert wait_until(lambda: running.doors["front"].door is not None, 20)
        assert 8 in lines


def test_refused_reload_and_refused_start_take_no_line(service: Make, lines: dict[int, object]) -> None:
    made = service(open=GPIO.format(line=7))
    path = made.folder / "door.toml"
    with Service(load_config(path)) as running:
        front = lines[7]
        edit(path, "line = 7", "line = 8")
        path.write_text(path.read_text() + SIDE + '[door.open]\nkind = "osdp"\nsecret = { file = "absent" }')
        assert not running.reload_file(path)
        assert lines == {7: front}
    made.configure(open=GPIO.format(line=7), more=SIDE + GPIO.format(line=7))
    with pytest.raises(ActuatorError, match="busy"):
        Service(load_config(path))
    assert lines == {}


def test_console_that_cannot_be_opened_again_is_a_problem_of_its_own(
    service: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = service(more='[api]\nkeys = "keys.json"\nport = 0').folder / "door.toml"
    keys = path.with_name("keys.json")
    KeyFile(keys).add("me", Role.READ)
    monkeypatch.setattr(service_module, "_GRACE_SECONDS", 0.0)
    with Service(load_config(path)) as running:
        old = running.galleries["people"]
        keys.rename(keys.with_name("elsewhere"))
        edit(path, "cooldown = 1", "cooldown = 2")
        assert running.reload_file(path), running.reloads.problem
        assert running.config.door[0].rules.cooldown == 2
        assert "keys.json" in running.problems()["console"]
        assert "configuration" not in running.problems()
        assert (running.reloads.ok, running.reloads.refused) == (1, 0)
        assert running.console_url is None
        assert wait_until(lambda: closed(old), 20), "the replaced gallery stays open"
        keys.with_name("elsewhere").rename(keys)
        assert running.reload_file(path)
        assert "console" not in running.problems()
        assert running.console_url


def closed(gallery: Gallery) -> bool:
    try:
        gallery.subjects()
    except GalleryError:
        return True
    return False
