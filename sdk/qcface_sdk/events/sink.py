"""Where events go."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from qcface_sdk.events.event import DoorEvent


@runtime_checkable
class EventSink(Protocol):
    """Takes the events of one or more doors, in order. Thread-safe."""

    def emit(self, event: DoorEvent) -> None:
        """Take one event; return when it is durable.

        An event emitted twice (same `DoorEvent.id`) is kept once, or can be told apart by its id.

        Raises
        ------
        DeliveryError
            If the event may be lost. A door that gets this does not open.
        """

    def close(self) -> None:
        """Give back what is held. Harmless when repeated; no event that `emit` took is lost by it."""
