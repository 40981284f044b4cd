"""What a door is doing, in numbers, for health checks and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qcface_sdk.camera.capture import CaptureStatus
from qcface_sdk.camera.stages import StageTimes


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """A door at one moment."""

    door: str
    """Name of the door."""
    state: str
    """``"idle"``, ``"seen"``, ``"collecting"``, ``"cooling"`` or ``"fault"``."""
    source: str
    """The camera, without credentials."""
    capture: CaptureStatus
    """The camera's side."""
    stages: Mapping[str, StageTimes]
    """How long each stage took; ``"frame"`` is from the arrival of a picture to its last event."""
    busy: tuple[str, float] | None
    """The stage that is running, and for how many seconds. Long means that it hangs: nothing is decided then."""
    counts: Mapping[str, int]
    """Events so far: ``"accept"``, ``"retry"``, ``"reject"``, and the other kinds by name."""
    faults: Mapping[str, str]
    """Stages that fail at present, and how; the door does not open meanwhile."""
    stale: int
    """Accepts that were dropped because their picture was too old."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values ready for JSON."""
        return {
            "door": self.door,
            "state": self.state,
            "source": self.source,
            "capture": {
                "state": self.capture.state.value,
                **{
                    name: getattr(self.capture, name)
                    for name in ("arrived", "dropped", "damaged", "skipped", "connections", "failures", "age", "error")
                },
            },
            "stages": {
                name: {"runs": times.runs, "median_ms": times.median_ms, "p99_ms": times.p99_ms}
                for name, times in self.stages.items()
            },
            "busy": None if self.busy is None else {"stage": self.busy[0], "seconds": self.busy[1]},
            "counts": dict(self.counts),
            "faults": dict(self.faults),
            "stale": self.stale,
        }
