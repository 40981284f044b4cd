"""What carries out open commands."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from qcface_sdk.actuators.command import OpenCommand


@runtime_checkable
class Actuator(Protocol):
    """Opens one door, or asks its controller to. Thread-safe."""

    def open(self, command: OpenCommand) -> None:
        """Carry out the command now, or not at all: it is never queued, kept or tried again after it has expired.

        Returns when it was handed over to the relay, the controller or the broker.

        Raises
        ------
        CommandExpiredError
            If it is too late.
        ActuatorError
            If it could not be handed over before it expired.
        """

    def close(self) -> None:
        """Give back what is held, with the door shut. Harmless when repeated."""
