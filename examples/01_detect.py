"""Find faces and draw them: python examples/01_detect.py PICTURE [OUTPUT.png]."""

import sys

import cv2

from qcface_sdk import FaceEngine, read_image

picture, output = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "detected.png"
image = read_image(picture)
with FaceEngine(min_face=30) as engine:
    faces = engine.detect(image)

for face in faces:
    x1, y1, x2, y2 = (round(float(value)) for value in face.bbox)
    print(f"face at ({x1}, {y1}) - ({x2}, {y2}), score {face.det_score:.2f}")
    cv2.rectangle(image, (x1, y1), (x2, y2), (80, 200, 80), 2)
    for x, y in face.kps:
        cv2.circle(image, (round(float(x)), round(float(y))), 2, (60, 120, 255), -1)
cv2.imwrite(output, image)
print(f"{len(faces)} face(s); wrote {output}")
