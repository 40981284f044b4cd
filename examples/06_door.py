"""Decide at a door: python examples/06_door.py GALLERY.db CAMERA (rtsp://..., a camera's number, or a video file)."""

import sys

from qcface_sdk import FaceEngine, Gallery
from qcface_sdk.camera import Door, DoorRules

with FaceEngine(min_face=24) as engine, Gallery.open(sys.argv[1], engine=engine) as gallery:
    for event in Door(engine, gallery, sys.argv[2], rules=DoorRules(min_face=40)):
        answer = event.outcome.value if event.outcome else event.kind.value
        print(event.time.time(), answer, event.subject or "", ", ".join(event.reasons), event.advice or "")
        if event.accepted:
            pass  # pulse your relay here, at once: an accept is worth nothing two seconds later
