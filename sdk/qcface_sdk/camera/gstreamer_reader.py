"""Reads a GStreamer pipeline through OpenCV: the way to a Jetson's CSI cameras and NVDEC.

PyPI's OpenCV is built without GStreamer; NVIDIA's and Debian's packages (``python3-opencv``) have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.camera.address import CameraAddress
from qcface_sdk.errors import BackendUnavailableError, CameraError


@dataclass(frozen=True, slots=True, eq=False)
class GStreamerPicture:
    """A picture that OpenCV has converted already."""

    image: NDArray[np.uint8]
    stream_time: float | None = None

    def to_bgr(self) -> NDArray[np.uint8]:
        """Return BGR uint8 (H, W, 3)."""
        return cv2.cvtColor(self.image, cv2.COLOR_GRAY2BGR) if self.image.ndim == 2 else self.image  # type: ignore[return-value]


class GStreamerReader:
    """A pipeline that ends in ``appsink``. Used by one thread.

    Write ``appsink drop=true max-buffers=1 sync=false``, so that GStreamer keeps no backlog either.

    Raises
    ------
    BackendUnavailableError
        If this OpenCV was built without GStreamer.
    CameraError
        If the pipeline does not start.
    """

    def __init__(self, address: CameraAddress) -> None:
        if not _built_with_gstreamer():
            raise BackendUnavailableError(
                "this OpenCV was built without GStreamer; on a Jetson use NVIDIA's OpenCV, elsewhere Debian's "
                "python3-opencv, or give the camera's rtsp:// address or device instead"
            )
        self._name = address.name
        self._capture = cv2.VideoCapture(address.location, cv2.CAP_GSTREAMER)
        self.damaged = 0
        self.skipped = 0
        if not self._capture.isOpened():
            self._capture.release()
            raise CameraError(f"pipeline {self._name} does not start; try it with gst-launch-1.0, fakesink for appsink")

    def pictures(self) -> Iterator[GStreamerPicture]:
        """Yield pictures.

        Raises
        ------
        CameraError
            If the pipeline stops.
        """
        while True:
            arrived, image = self._capture.read()
            if not arrived:
                raise CameraError(f"pipeline {self._name} stopped giving pictures")
            yield GStreamerPicture(np.asarray(image, np.uint8))

    def close(self) -> None:
        """Stop the pipeline."""
        self._capture.release()


def _built_with_gstreamer() -> bool:
    return cv2.CAP_GSTREAMER in cv2.videoio_registry.getBackends()
