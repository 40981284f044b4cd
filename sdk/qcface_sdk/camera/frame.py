"""One picture of a camera and when it came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.results import Face


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture. Immutable; its array belongs to whoever took it."""

    image: NDArray[np.uint8]
    """BGR uint8 (H, W, 3); grey and infrared cameras give three equal channels."""
    number: int
    """Counted from 0 over all pictures that arrived, so that gaps show what was dropped."""
    time: float
    """Seconds that never fall: of the steady clock for a camera, of the recording for a file."""
    arrived: float
    """`qcface_sdk.clock.steady_seconds` when it was decoded; what its age is counted from."""
    wall: datetime
    """UTC when it was decoded, by the wall clock; may jump when that clock is set."""
    stream_time: float | None = None
    """The sender's time stamp in seconds, where there is one; starts anywhere and may jump."""
    connection: int = 0
    """How often the camera had been connected before."""

    faces: tuple[Face, ...] | None = None
    """Faces that somebody else has found already, such as a detector on the camera; ``None`` where none looked."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]
