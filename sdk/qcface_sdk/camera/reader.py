"""What every way of reading a camera gives, and the choice between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.camera.address import CameraAddress, SourceKind
from qcface_sdk.camera.options import CaptureOptions


class Picture(Protocol):
    """One decoded picture that is not converted yet: those that are dropped must cost nothing."""

    @property
    def stream_time(self) -> float | None:
        """The sender's time stamp in seconds."""

    def to_bgr(self) -> NDArray[np.uint8]:
        """Return BGR uint8 (H, W, 3)."""


class Reader(Protocol):
    """One connection to a camera, or one pass through a file."""

    @property
    def damaged(self) -> int:
        """Pictures that could not be decoded, so far."""

    @property
    def skipped(self) -> int:
        """Pictures passed over undecoded to catch up, so far."""

    def pictures(self) -> Iterator[Picture | None]:
        """Yield pictures until the source ends, and ``None`` for each passed over, so that the taker may stop.

        Raises
        ------
        CameraError
            If the connection breaks, stalls, or gives nothing that can be decoded.
        """

    def close(self) -> None:
        """End the connection."""


def open_reader(address: CameraAddress, options: CaptureOptions) -> Reader:
    """Connect to a camera or open a file.

    Raises
    ------
    CameraError
        If it cannot be reached, refuses, or gives no video.
    BackendUnavailableError
        If the package that reads it is not installed.
    """
    if address.kind is SourceKind.GSTREAMER:
        from qcface_sdk.camera.gstreamer_reader import GStreamerReader

        return GStreamerReader(address)
    from qcface_sdk.camera.av_reader import AvReader

    return AvReader(address, options)
