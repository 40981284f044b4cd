"""An output of an OSDP device on a serial line, through libosdp (``pip install osdp pyserial``).

Not run on hardware by us: tested against a stand-in of osdp's Python interface, as its sources give it.
"""

from __future__ import annotations

import threading
from typing import Any

from qcface_sdk.actuators.command import OpenCommand
from qcface_sdk.checks import check_positive, check_positive_int
from qcface_sdk.errors import ActuatorError, BackendUnavailableError, OptionError

KEY_BYTES = 16
"""Length of a secure channel base key (SCBK)."""
MAX_HOLD_SECONDS = 30.0
_TEMPORARY_ON = 5
"""Control code: on for the timer's time, then back to the permanent state. The device closes by itself."""


class OsdpActuator:
    """Switches one output of a device for some seconds. An `Actuator`. Thread-safe.

    The command goes out only while the device answers and the secure channel stands; nothing is left in libosdp's queue
    for a device that may come back later.

    Parameters
    ----------
    port : str
        Serial device, such as ``/dev/ttyUSB0``.
    address : int
        Of the device on the line, 0..126.
    key : bytes
        Its secure channel base key, `KEY_BYTES` long. There is no option to do without: on a plain line, anybody with a
        clamp opens the door.
    output : int
        Number of the output.
    hold_seconds : float
        How long it is on, at least 0.1 and at most `MAX_HOLD_SECONDS`.
    baud : int
        Speed of the line.

    Raises
    ------
    BackendUnavailableError
        If osdp or pyserial is not installed.
    ActuatorError
        If the line cannot be opened.
    """

    def __init__(
        self, port: str, address: int, key: bytes, *, output: int = 0, hold_seconds: float = 3.0, baud: int = 9600
    ) -> None:
        if len(key) != KEY_BYTES:
            raise OptionError(f"an OSDP key has {KEY_BYTES} bytes, got {len(key)}")
        if not 0 <= address <= 126 or output < 0:
            raise OptionError(f"address must be 0..126 and output at least 0, got {address} and {output}")
        if not 0.1 <= check_positive("hold_seconds", hold_seconds) <= MAX_HOLD_SECONDS:
            raise OptionError(f"hold_seconds must be 0.1..{MAX_HOLD_SECONDS:g}, got {hold_seconds:g}")
        self._address, self._output = address, output
        self._tenths = round(10 * hold_seconds)
        self._lock = threading.Lock()
        self._panel: Any = _start_panel(port, address, key, check_positive_int("baud", baud))

    def open(self, command: OpenCommand) -> None:
        """Switch the output on; the device switches it off by itself.

        Raises
        ------
        CommandExpiredError
            If it is too late.
        ActuatorError
            If the device does not answer, or not over the secure channel, or refuses.
        """
        with self._lock:
            if self._panel is None:
                raise ActuatorError(f"{command.door} stays shut: its OSDP line is closed")
            command.check()
            secure = self._panel.is_online(self._address) and self._panel.is_sc_active(self._address)
            if not secure:
                wanted = (
                    f"OSDP device {self._address} does not answer over a secure channel; check wiring, address, key"
                )
                raise ActuatorError(f"{command.door} stays shut: {wanted}")
            if not self._panel.submit_command(self._address, self._values()):
                raise ActuatorError(f"{command.door} stays shut: OSDP device {self._address} took no command")

    def close(self) -> None:
        """Stop talking to the device; an output that is on goes off by its own timer."""
        with self._lock:
            panel, self._panel = self._panel, None
            if panel is not None:
                panel.teardown()

    def _values(self) -> dict[str, Any]:
        from osdp import Command

        return {
            "command": Command.Output,
            "output_no": self._output,
            "control_code": _TEMPORARY_ON,
            "timer_count": self._tenths,
        }


def _start_panel(port: str, address: int, key: bytes, baud: int) -> Any:
    try:
        import osdp
        import serial
    except ImportError as error:
        wanted = f"OSDP needs osdp and pyserial, {error.name} is missing; install with: pip install osdp pyserial"
        raise BackendUnavailableError(wanted) from error

    class Line(osdp.Channel):  # type: ignore[misc]
        """The serial line, read and written without waiting, as libosdp asks for."""

        def __init__(self, line: Any) -> None:
            super().__init__()
            self._line = line

        def read(self, max_bytes: int) -> bytes:
            return bytes(self._line.read(max_bytes))

        def write(self, buf: bytes) -> int:
            return int(self._line.write(buf))

        def flush(self) -> None:
            self._line.flush()

    try:
        line = serial.Serial(port, baud, timeout=0)
    except OSError as error:
        raise ActuatorError(f"OSDP line {port}: {error}; check its name and rights") from error
    flags = [osdp.LibFlag.EnforceSecure]
    panel = osdp.ControlPanel([osdp.PDInfo(address, Line(line), scbk=key, flags=flags)])
    panel.start()
    return panel
