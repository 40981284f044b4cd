"""Against a stand-in of gpiod 2, https://libgpiod.readthedocs.io: LineSettings, request_lines, set_value, release."""

from __future__ import annotations

import enum
import sys
import time
import types
from dataclasses import dataclass, replace

import pytest

from broker import wait_until
from qcface_sdk.actuators import Actuator, OpenCommand
from qcface_sdk.actuators.gpio import GpioActuator
from qcface_sdk.errors import ActuatorError, BackendUnavailableError, CommandExpiredError, OptionError, RelayStuckError
from qcface_sdk.events import DoorEvent, EventKind
from qcface_sdk.results import Outcome


class Value(enum.Enum):
    INACTIVE = 0
    ACTIVE = 1


class Direction(enum.Enum):
    AS_IS, INPUT, OUTPUT = 1, 2, 3


@dataclass
class LineSettings:
    direction: Direction = Direction.AS_IS
    output_value: Value = Value.INACTIVE
    active_low: bool = False


class Request:
    def __init__(self) -> None:
        self.values: list[tuple[int, Value]] = []
        self.released = False
        self.broken = False

    def set_value(self, line: int, value: Value) -> None:
        if self.broken:
            raise OSError(5, "Input/output error")
        self.values.append((line, value))

    def release(self) -> None:
        self.released = True


@pytest.fixture
def request_(monkeypatch: pytest.MonkeyPatch) -> Request:
    request = Request()

    def request_lines(path: str, consumer: str, config: dict[int, LineSettings]) -> Request:
        if path == "/dev/absent":
            raise FileNotFoundError(2, "No such file or directory", path)
        (settings,) = config.values()
        assert settings.direction is Direction.OUTPUT
        assert settings.output_value is Value.INACTIVE
        return request

    module = types.ModuleType("gpiod")
    module.LineSettings, module.request_lines = LineSettings, request_lines
    line = types.ModuleType("gpiod.line")
    line.Direction, line.Value = Direction, Value
    module.line = line
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", line)
    return request


def command() -> OpenCommand:
    event = DoorEvent.new(EventKind.DECISION, "front", "cam", outcome=Outcome.ACCEPT, subject="ann")
    return OpenCommand.of(event)


def test_relay_is_energised_and_released_by_itself(request_: Request) -> None:
    relay = GpioActuator("/dev/gpiochip0", 7, hold_seconds=0.05)
    assert isinstance(relay, Actuator)
    relay.open(command())
    assert request_.values == [(7, Value.ACTIVE)]
    assert wait_until(lambda: request_.values[-1] == (7, Value.INACTIVE))
    relay.close()
    assert request_.released


def test_second_command_extends_and_does_not_cut_short(request_: Request) -> None:
    relay = GpioActuator("/dev/gpiochip0", 7, hold_seconds=0.4)
    relay.open(command())
    time.sleep(0.2)
    relay.open(command())
    assert wait_until(lambda: request_.values[-1] == (7, Value.INACTIVE))
    assert [value for _, value in request_.values] == [Value.ACTIVE, Value.ACTIVE, Value.INACTIVE]
    relay.close()


def test_expired_command_does_not_touch_the_line(request_: Request) -> None:
    relay = GpioActuator("/dev/gpiochip0", 7)
    late = command()
    with pytest.raises(CommandExpiredError):
        relay.open(replace(late, issued=late.issued - 3, expires=late.expires - 3))
    assert request_.values == []
    relay.close()


def test_line_that_fails_is_an_error(request_: Request) -> None:
    relay = GpioActuator("/dev/gpiochip0", 7, hold_seconds=0.05)
    request_.broken = True
    with pytest.raises(ActuatorError, match="stays shut"):
        relay.open(command())
    request_.broken = False
    assert wait_until(lambda: request_.values == [(7, Value.INACTIVE)])
    relay.close()
    with pytest.raises(ActuatorError, match="closed"):
        relay.open(command())


@pytest.fixture
def stuck(request_: Request, caplog: pytest.LogCaptureFixture) -> GpioActuator:
    """A relay that has opened once and does not release."""
    relay = GpioActuator("/dev/gpiochip0", 7, hold_seconds=0.05)
    relay.open(command())
    request_.broken = True
    assert wait_until(lambda: "does not go back to rest" in caplog.text)
    return relay


def test_relay_that_does_not_release_is_tried_again_and_opens_nothing_meanwhile(
    request_: Request, caplog: pytest.LogCaptureFixture, stuck: GpioActuator
) -> None:
    with pytest.raises(RelayStuckError, match="front takes no command: GPIO line 7"):
        stuck.open(command())
    request_.broken = False
    assert wait_until(lambda: "is at rest again" in caplog.text)
    assert [value for _, value in request_.values] == [Value.ACTIVE, Value.INACTIVE]
    stuck.open(command())
    assert request_.values[-1] == (7, Value.ACTIVE)
    stuck.close()


def test_relay_that_does_not_release_does_not_hold_up_the_end(
    request_: Request, caplog: pytest.LogCaptureFixture, stuck: GpioActuator
) -> None:
    stuck.close()
    assert request_.released
    assert "see whether its lock is shut" in caplog.text
    assert stuck._release is not None
    stuck._release.join(5)
    assert not stuck._release.is_alive()


def test_bad_options_and_lines_are_named(request_: Request, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="hold_seconds"):
        GpioActuator("/dev/gpiochip0", 7, hold_seconds=31)
    with pytest.raises(ActuatorError, match="/dev/absent"):
        GpioActuator("/dev/absent", 7)
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(BackendUnavailableError, match="pip install gpiod"):
        GpioActuator("/dev/gpiochip0", 7)
