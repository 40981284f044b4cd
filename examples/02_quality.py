"""See the quality fall as a picture gets worse: python examples/02_quality.py PICTURE."""

import sys

import cv2

from qcface_sdk import FaceEngine, read_image

image = read_image(sys.argv[1])
with FaceEngine() as engine:
    faces = engine.get(image)
    if not faces:
        sys.exit("no face found")
    print("blur (pixels)   magnitude   recognizability   quality")
    for sigma in (0, 1, 2, 3, 4, 6, 8):
        blurred = cv2.GaussianBlur(image, (0, 0), sigma) if sigma else image
        found = engine.get(blurred)
        if not found:
            print(f"{sigma:>13}   no face found any more")
            break
        face = found[0]
        print(f"{sigma:>13}   {face.magnitude:9.1f}   {face.recognizability:15.3f}   {face.quality:7.1f}")
