"""Follow quality through a video or camera: python examples/05_video.py FILE_OR_CAMERA_NUMBER [FRAMES]."""

import sys

import cv2

from qcface_sdk import FaceEngine

source, frames = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100
capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
if not capture.isOpened():
    sys.exit(f"cannot open {source}")
with FaceEngine(min_face=24) as engine:
    for number in range(frames):
        more, image = capture.read()
        if not more:
            break
        faces = engine.get(image)
        print(f"frame {number:4}:", "  ".join(f"{face.size:.0f} px quality {face.quality:.0f}" for face in faces))
capture.release()
