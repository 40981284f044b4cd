"""Cameras and the door: capture, tracking, the choice of frames, and decisions as events.

Needs PyAV for cameras and files: ``pip install "qcface-sdk[camera]"``.
"""

from qcface_sdk.camera.access import AccessRule, AllOf, AllowList, WeeklySchedule
from qcface_sdk.camera.address import CameraAddress, SourceKind
from qcface_sdk.camera.capture import Capture, CaptureState, CaptureStatus
from qcface_sdk.camera.discovery import FoundCamera, find_cameras, stream_of
from qcface_sdk.camera.door import Door
from qcface_sdk.camera.feed import FrameFeed, FrameSource, faces_from_boxes
from qcface_sdk.camera.frame import Frame
from qcface_sdk.camera.liveness import LivenessCheck
from qcface_sdk.camera.minifasnet import MiniFasNet
from qcface_sdk.camera.options import CaptureOptions
from qcface_sdk.camera.rules import DoorRules
from qcface_sdk.camera.snapshots import Snapshots
from qcface_sdk.camera.status import DoorStatus
from qcface_sdk.camera.tracker import Track, Tracker
from qcface_sdk.camera.view import DoorView, TrackView

__all__ = [
    "AccessRule",
    "AllOf",
    "AllowList",
    "CameraAddress",
    "Capture",
    "CaptureOptions",
    "CaptureState",
    "CaptureStatus",
    "Door",
    "DoorRules",
    "DoorStatus",
    "DoorView",
    "FoundCamera",
    "Frame",
    "FrameFeed",
    "FrameSource",
    "LivenessCheck",
    "MiniFasNet",
    "Snapshots",
    "SourceKind",
    "Track",
    "TrackView",
    "Tracker",
    "WeeklySchedule",
    "faces_from_boxes",
    "find_cameras",
    "stream_of",
]
