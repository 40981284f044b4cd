"""Make what examples/door.toml looks at: python examples/12_door_clip.py [FOLDER].

Writes corridor.mp4, a public-domain portrait that walks towards a door, and enrols her in people.db.
Needs the demo and camera extras, from a checkout: pip install ".[demo,camera]".
"""

import sys
from fractions import Fraction
from pathlib import Path

import av

from qcface_sdk import FaceEngine, Gallery, read_image
from qcface_sdk.demo.corridor import Camera
from qcface_sdk.demo.figure import make_figure
from qcface_sdk.demo.photographs import COLLINS
from qcface_sdk.demo.walk import walk_towards_door

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
portrait = COLLINS
photograph = read_image(portrait.locate())

with av.open(str(folder / "corridor.mp4"), "w") as film:
    stream = film.add_stream("libx264", rate=Fraction(15), options={"crf": "24", "preset": "veryfast"})
    stream.width, stream.height, stream.pix_fmt = 960, 540, "yuv420p"
    for shown in walk_towards_door(make_figure(portrait, photograph), 90, Camera()):
        film.mux(stream.encode(av.VideoFrame.from_ndarray(shown.image, format="bgr24")))
    film.mux(stream.encode(None))

with FaceEngine() as engine, Gallery.open(folder / "people.db", contract=engine.contract) as gallery:
    if portrait.subject not in gallery.subjects():
        gallery.enroll(portrait.subject, engine.get(photograph)[0])
print(f"wrote {folder / 'corridor.mp4'} and enrolled {portrait.subject} in {folder / 'people.db'}")
