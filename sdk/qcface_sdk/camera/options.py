"""How a camera is read."""

from __future__ import annotations

from dataclasses import dataclass

from qcface_sdk.checks import check_choice, check_positive, check_positive_int
from qcface_sdk.errors import OptionError


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """How a camera is read. Immutable; checked when made.

    Raises
    ------
    OptionError
        If a value is out of range.
    """

    every_frame: bool | None = None
    """Give every picture and let the sender wait (files), or always the newest (cameras). Unset: chosen by that."""
    realtime: bool = False
    """Files only: play at the speed of the recording, as if it were a camera."""
    loop: bool = False
    """Files only: begin again at the end."""
    transport: str = "tcp"
    """``"tcp"`` or ``"udp"`` for RTSP. UDP loses packets rather than waiting for them."""
    hardware: str = "auto"
    """Decoder: ``"auto"`` (what FFmpeg finds, else software), ``"off"``, or FFmpeg's name, such as ``"cuda"``."""
    connect_timeout: float = 10.0
    """Seconds until a camera must have answered."""
    stall_timeout: float = 5.0
    """Seconds without a picture after which the connection counts as dead and is made anew."""
    first_delay: float = 0.5
    """Seconds before the first attempt to connect again; doubles with each failure, with jitter."""
    longest_delay: float = 30.0
    """Seconds between attempts at most."""
    attempts: int | None = None
    """Failures in a row after which the capture gives up; unset: never, as a door's camera comes back one day."""
    max_lag: float = 1.0
    """Seconds that decoding may fall behind the camera before pictures are skipped up to the next key frame."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        check_choice("transport", self.transport, ("tcp", "udp"))
        for name in ("connect_timeout", "stall_timeout", "first_delay", "longest_delay", "max_lag"):
            check_positive(name, getattr(self, name))
        if self.attempts is not None:
            check_positive_int("attempts", self.attempts)
        if self.longest_delay < self.first_delay:
            raise OptionError(f"longest_delay must be at least first_delay ({self.first_delay:g} s)")
