"""Cameras and the door: capture, tracking, the choice of frames, and decisions as events.

Needs PyAV for cameras and files: ``pip install "qcface-sdk[camera]"``.
"""

from qcface_sdk.camera.address import CameraAddress, SourceKind
from qcface_sdk.camera.capture import Capture, CaptureState, CaptureStatus
from qcface_sdk.camera.frame import Frame
from qcface_sdk.camera.options import CaptureOptions

__all__ = [
    "CameraAddress",
    "Capture",
    "CaptureOptions",
    "CaptureState",
    "CaptureStatus",
    "Frame",
    "SourceKind",
]
