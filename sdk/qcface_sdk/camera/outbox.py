"""Turns what a door found into events that are safe before anything opens, and into open commands."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

from qcface_sdk.actuators import Actuator, OpenCommand
from qcface_sdk.camera.stages import StageError, Stages
from qcface_sdk.events import DoorEvent, EventKind, EventSink
from qcface_sdk.results import Outcome

_log = logging.getLogger("qcface_sdk.camera")


class Outbox:
    """Events of one door. Used by the door's thread alone.

    Parameters
    ----------
    door, camera : str
        Their names.
    stages : Stages
    sink : EventSink or None
        Where events become durable.
    actuator : Actuator or None
        What opens.
    """

    def __init__(
        self, door: str, camera: str, stages: Stages, sink: EventSink | None, actuator: Actuator | None
    ) -> None:
        self.door, self.camera = door, camera
        self._stages, self._sink, self._actuator = stages, sink, actuator
        self._ready: list[DoorEvent] = []
        self.counts: Counter[str] = Counter()

    def take(self) -> list[DoorEvent]:
        """Return the events since the last call."""
        ready, self._ready = self._ready, []
        return ready

    def make(self, kind: EventKind, **values: Any) -> DoorEvent:
        """Return an event of this door, of this moment."""
        return DoorEvent.new(kind, self.door, self.camera, **values)

    def tell(self, event: DoorEvent) -> None:
        """Make an event durable and hand it to whoever reads the door.

        Raises
        ------
        StageError
            If the sink did not take it. Nobody is shown it then: what is not in the log did not happen.
        """
        sink = self._sink
        if sink is not None:
            self._stages.run("emit", lambda: sink.emit(event))
        self._ready.append(event)
        self.counts[event.outcome.value if event.outcome is not None else event.kind.value] += 1

    def tell_trouble(self, kind: EventKind, **values: Any) -> None:
        """Tell something that must be shown even where the sink is what is broken."""
        event = self.make(kind, **values)
        try:
            self.tell(event)
        except StageError as error:
            _log.error("%s: event %s (%s) could not be stored: %s", self.door, event.kind.value, event.message, error)
            self._ready.append(event)

    def open(self, accept: DoorEvent, still_right: Callable[[], bool]) -> None:
        """Open the door for an accept that has been told.

        Parameters
        ----------
        accept : DoorEvent
            A decision with outcome accept.
        still_right : callable
            Asked last of all; where it says no, nothing opens.
        """
        actuator = self._actuator
        if actuator is None or accept.outcome is not Outcome.ACCEPT:
            return
        about = {"subject": accept.subject, "track": accept.track}
        try:
            command = OpenCommand.of(accept)
            if not still_right():
                raise TimeoutError("the picture behind the decision is too old")
            command.check()
            actuator.open(command)
        except Exception as error:  # noqa: BLE001 - a relay's driver may raise anything; the door stays as it is
            _log.error("%s: not opened for event %s: %s", self.door, accept.id, type(error).__name__)
            self.tell_trouble(EventKind.NOT_OPENED, message=f"the open command failed: {type(error).__name__}", **about)
        else:
            self.tell_trouble(EventKind.OPENED, **about)
