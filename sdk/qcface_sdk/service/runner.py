"""Runs one door in a thread of its own, and begins again when it breaks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from qcface_sdk.backoff import Backoff
from qcface_sdk.camera import Door, DoorStatus
from qcface_sdk.errors import DeliveryError, QCFaceError
from qcface_sdk.events import DoorEvent, EventKind, EventSink

_logger = logging.getLogger(__name__)


class DoorRunner:
    """One door from start to stop. Thread-safe.

    Parameters
    ----------
    name, camera : str
        Of the door.
    make : callable
        Gives a fresh `Door`; called again after the door ended with an error.
    log : EventSink
        Where starts, stops and faults are told; the door has it as well.
    """

    def __init__(self, name: str, camera: str, make: Callable[[], Door], log: EventSink) -> None:
        self.name, self.camera = name, camera
        self.restarts = 0
        """How often the door began again after an error."""
        self.problem: str | None = None
        """Why the door failed, until it has taken a picture again."""
        self._make = make
        self._log = log
        self._door: Door | None = None
        self._swap = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"door-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def door(self) -> Door | None:
        """The door; ``None`` while there is none."""
        return self._door

    @property
    def status(self) -> DoorStatus | None:
        """What the door is doing; ``None`` while there is none."""
        door = self._door
        return None if door is None else door.status

    @property
    def alive(self) -> bool:
        """Whether it runs; a recording that is over does not."""
        return self._thread.is_alive()

    def remake(self, make: Callable[[], Door]) -> None:
        """Use another way to make the door, should it have to begin again."""
        self._make = make

    def stop(self) -> None:
        """Ask the door to end; `join` waits for it."""
        self._stop.set()
        with self._swap:
            if self._door is not None:
                self._door.close()

    def join(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def tell(self, kind: EventKind, **values: object) -> None:
        """Write an event of this door to the log, as far as the log can be written."""
        try:
            self._log.emit(DoorEvent.new(kind, self.name, self.camera, **values))
        except DeliveryError as error:
            _logger.error("door %s: cannot log %s: %s", self.name, kind.value, error)

    def _run(self) -> None:
        backoff = Backoff(first=0.5, longest=30)
        self.tell(EventKind.STARTED)
        while not self._stop.is_set():
            try:
                self._watch(backoff)
                break
            except Exception as error:  # noqa: BLE001 - a door that is gone for good would be worse than any of them
                self._broke(error)
                self._stop.wait(backoff.next())
        self.tell(EventKind.STOPPED)

    def _watch(self, backoff: Backoff) -> None:
        with self._swap:
            if self._stop.is_set():
                return
            self._door = self._make()
        well = False
        for events in self._door.looks():
            # Only a picture says that the door works: one whose source fails begins well, and even has an event.
            if not well and self._door.view is not None:
                well = True
                backoff.reset()
                self._recovered()
            for event in events:
                outcome = event.outcome.value if event.outcome else "-"
                _logger.info("door %s: %s %s %s", event.door, event.kind.value, outcome, event.id)

    def _recovered(self) -> None:
        if self.problem is not None:
            self.problem = None
            self.tell(EventKind.RECOVERED, reasons=("door_failed",))

    def _broke(self, error: Exception) -> None:
        with self._swap:
            door, self._door = self._door, None
        if door is not None:
            door.close()
        self.restarts += 1
        # The message of a foreign error may hold anything, such as an address with its password.
        problem = str(error) if isinstance(error, QCFaceError) else type(error).__name__
        if problem != self.problem:
            _logger.error("door %s failed, it stays shut and begins again: %s", self.name, problem, exc_info=error)
            self.tell(EventKind.FAULT, reasons=("door_failed",), message=problem[:1000])
        self.problem = problem
