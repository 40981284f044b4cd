"""Enrol people and recognise one: python examples/04_gallery.py GALLERY.db NAME=PICTURE [NAME=PICTURE ...] PROBE."""

import sys

from qcface_sdk import FaceEngine, Gallery, read_image

path, *people, probe = sys.argv[1:]
with FaceEngine() as engine, Gallery.open(path, engine=engine) as gallery:
    for person in people:
        name, picture = person.split("=", 1)
        faces = engine.get(read_image(picture))
        if not faces:
            sys.exit(f"no face in {picture}")
        gallery.enroll(name, faces[0])
        print(f"enrolled {name}: quality {faces[0].quality:.0f}")

    for face in engine.get(read_image(probe)):
        result = gallery.identify(face, fmr=1e-4)
        for best in result.candidates[:1]:
            print(f"{result.decision.value}: nearest is {best.subject} at {best.similarity:.3f}")
        if not result.candidates:
            print(f"{result.decision.value}: nobody is enrolled")
