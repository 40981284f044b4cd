"""A relay on a GPIO line, through libgpiod 2 (``pip install gpiod``).

Not run on hardware by us: tested against a stand-in of gpiod's interface, as its documentation gives it.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from qcface_sdk.actuators.command import OpenCommand
from qcface_sdk.checks import check_positive
from qcface_sdk.errors import ActuatorError, BackendUnavailableError, OptionError, RelayStuckError

_log = logging.getLogger(__name__)

MAX_HOLD_SECONDS = 30.0
"""Longest time a relay is held: a strike that stays open for minutes is no lock."""

_AGAIN_SECONDS = 0.25
"""Pause between tries to release a relay."""


class GpioActuator:
    """Energises a relay for some seconds. An `Actuator`. Thread-safe.

    The line is requested at its resting level, which is also what it falls back to when the process ends and the kernel
    releases it, if the board pulls it there: check that yours does. A second command while the relay is held extends
    the time; it never adds up. A line that cannot be set back to rest is logged and tried again four times a second;
    nothing is opened until that succeeds.

    Parameters
    ----------
    chip : str
        Device of the chip, such as ``/dev/gpiochip0``.
    line : int
        Number of the line on it.
    hold_seconds : float
        How long the relay is energised, above 0 and at most `MAX_HOLD_SECONDS`.
    active_low : bool
        Whether the relay board energises on low.

    Raises
    ------
    BackendUnavailableError
        If gpiod is not installed.
    ActuatorError
        If the line cannot be had.
    """

    def __init__(self, chip: str, line: int, *, hold_seconds: float = 3.0, active_low: bool = False) -> None:
        self._hold = check_positive("hold_seconds", hold_seconds)
        if self._hold > MAX_HOLD_SECONDS:
            raise OptionError(f"hold_seconds must be at most {MAX_HOLD_SECONDS:g}, got {hold_seconds:g}")
        try:
            import gpiod
            from gpiod.line import Direction, Value
        except ImportError as error:
            raise BackendUnavailableError("GPIO needs gpiod 2; install it with: pip install gpiod") from error
        self._on, self._off = Value.ACTIVE, Value.INACTIVE
        self._line, self._name = line, f"GPIO line {line} of {chip}"
        self._stuck = False
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._release: threading.Timer | None = None
        settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=self._off, active_low=active_low)
        try:
            self._request: Any = gpiod.request_lines(chip, consumer="qcface", config={line: settings})
        except (OSError, ValueError) as error:
            raise ActuatorError(f"{self._name}: {error}; check its name, rights and other users") from error

    def open(self, command: OpenCommand) -> None:
        """Energise the relay; it is released after `hold_seconds` by itself.

        Raises
        ------
        CommandExpiredError
            If it is too late.
        RelayStuckError
            If the relay could not be released after an earlier command.
        ActuatorError
            If the line cannot be set; it is set back to rest as far as possible.
        """
        with self._lock:
            if self._request is None:
                raise ActuatorError(f"{command.door} stays shut: its GPIO line is closed")
            command.check()
            if self._stuck:
                raise RelayStuckError(f"{command.door} takes no command: {self._name} does not go back to rest")
            if self._release is not None:
                self._release.cancel()
            timer = threading.Timer(self._hold, self._rest)
            timer.daemon = True
            # Before the line is set: without a timer that runs, nothing would ever release the relay.
            timer.start()
            self._release = timer
            try:
                self._request.set_value(self._line, self._on)
            except OSError as error:
                raise ActuatorError(f"{command.door} stays shut: GPIO line {self._line}: {error}") from error

    def close(self) -> None:
        """Release the relay and the line. A relay that cannot be released is logged."""
        with self._lock:
            if self._release is not None:
                self._release.cancel()
            request, self._request = self._request, None
            self._closed.set()
            if request is not None:
                try:
                    request.set_value(self._line, self._off)
                except OSError as error:
                    _log.error("%s is closed, but not at rest: %s; see whether its lock is shut", self._name, error)
                finally:
                    request.release()

    def _rest(self) -> None:
        # In this thread until it succeeds: a further one might not start, and then nothing would release the relay.
        while not self._rested():
            self._closed.wait(_AGAIN_SECONDS)

    def _rested(self) -> bool:
        """Set the line to rest; return whether this timer has nothing left to do."""
        with self._lock:
            # A timer that was replaced while it waited for the lock must not cut the later command short.
            if self._request is None or self._release is not threading.current_thread():
                return True
            try:
                self._request.set_value(self._line, self._off)
            except Exception as error:  # noqa: BLE001 - whatever it is, the relay is still held
                if not self._stuck:
                    _log.error("%s does not go back to rest, its lock may be open; trying again: %s", self._name, error)
                self._stuck = True
                return False
            if self._stuck:
                _log.warning("%s is at rest again", self._name)
            self._stuck = False
            return True
