"""What opens a door: commands that expire, and the adapters that carry them out.

An `OpenCommand` is valid for at most two seconds after the decision, on a clock that never jumps. An `Actuator` carries
it out now or not at all.
"""

from qcface_sdk.actuators.actuator import Actuator
from qcface_sdk.actuators.command import MAX_SECONDS, OpenCommand

__all__ = ["MAX_SECONDS", "Actuator", "OpenCommand"]
