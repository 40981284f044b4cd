"""Against a stand-in of libosdp's Python package (goToMain/libosdp, python/osdp): ControlPanel, PDInfo, Channel."""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import pytest

from qcface_sdk.actuators import Actuator, OpenCommand
from qcface_sdk.actuators.osdp import OsdpActuator
from qcface_sdk.errors import ActuatorError, BackendUnavailableError, CommandExpiredError, OptionError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.results import Outcome

KEY = bytes(16)


class Panel:
    def __init__(self, devices: list[types.SimpleNamespace]) -> None:
        self.devices = devices
        self.online, self.secure, self.takes = True, True, True
        self.commands: list[tuple[int, dict[str, object]]] = []
        self.running = False
        Panel.last = self

    def start(self) -> None:
        self.running = True

    def is_online(self, address: int) -> bool:
        return self.online

    def is_sc_active(self, address: int) -> bool:
        return self.secure

    def submit_command(self, address: int, values: dict[str, object]) -> bool:
        self.commands.append((address, values))
        return self.takes

    def teardown(self) -> None:
        self.running = False


class Serial:
    def __init__(self, port: str, baud: int, timeout: float) -> None:
        if port == "/dev/absent":
            raise FileNotFoundError(2, "could not open port", port)
        assert timeout == 0
        self.written = b""

    def read(self, count: int) -> bytes:
        return b"\x53"[:count]

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def flush(self) -> None:
        pass


@pytest.fixture(autouse=True)
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    osdp, serial = types.ModuleType("osdp"), types.ModuleType("serial")
    osdp.Channel, osdp.ControlPanel = type("Channel", (), {}), Panel
    osdp.PDInfo = lambda address, channel, scbk, flags: types.SimpleNamespace(
        address=address, channel=channel, scbk=scbk, flags=flags
    )
    osdp.LibFlag = types.SimpleNamespace(EnforceSecure="enforce")
    osdp.Command = types.SimpleNamespace(Output="output")
    serial.Serial = Serial
    monkeypatch.setitem(sys.modules, "osdp", osdp)
    monkeypatch.setitem(sys.modules, "serial", serial)


def command() -> OpenCommand:
    event = DoorEvent.new(EventKind.DECISION, "front", "cam", outcome=Outcome.ACCEPT, subject="ann")
    return OpenCommand.of(event)


def test_output_is_switched_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    device = OsdpActuator("/dev/ttyUSB0", 101, KEY, output=1, hold_seconds=2.5)
    assert isinstance(device, Actuator)
    (info,) = Panel.last.devices
    assert (info.address, info.scbk, info.flags) == (101, KEY, ["enforce"])
    assert info.channel.read(1) == b"\x53"
    assert info.channel.write(b"abc") == 3
    device.open(command())
    wanted = {"command": "output", "output_no": 1, "control_code": 5, "timer_count": 25}
    assert Panel.last.commands == [(101, wanted)]
    device.close()
    device.close()
    assert not Panel.last.running
    with pytest.raises(ActuatorError, match="closed"):
        device.open(command())


@pytest.mark.parametrize("fault", ["online", "secure"])
def test_nothing_is_queued_for_a_device_that_is_away_or_not_secure(fault: str) -> None:
    device = OsdpActuator("/dev/ttyUSB0", 101, KEY)
    setattr(Panel.last, fault, False)
    with pytest.raises(ActuatorError, match="secure channel"):
        device.open(command())
    assert Panel.last.commands == []


def test_refused_or_late_commands_are_errors() -> None:
    device = OsdpActuator("/dev/ttyUSB0", 101, KEY)
    late = command()
    with pytest.raises(CommandExpiredError):
        device.open(replace(late, issued=late.issued - 3, expires=late.expires - 3))
    assert Panel.last.commands == []
    Panel.last.takes = False
    with pytest.raises(ActuatorError, match="took no command"):
        device.open(command())


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"key": b"short"}, "16 bytes"),
        ({"address": 127}, "0..126"),
        ({"hold_seconds": 60}, "hold_seconds"),
        ({"output": -1}, "output"),
    ],
)
def test_bad_options_are_refused(values: dict[str, object], word: str) -> None:
    with pytest.raises(OptionError, match=word):
        OsdpActuator(**({"port": "/dev/ttyUSB0", "address": 1, "key": KEY} | values))


def test_absent_line_and_library_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ActuatorError, match="/dev/absent"):
        OsdpActuator("/dev/absent", 1, KEY)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(BackendUnavailableError, match="pip install osdp pyserial"):
        OsdpActuator("/dev/ttyUSB0", 1, KEY)
