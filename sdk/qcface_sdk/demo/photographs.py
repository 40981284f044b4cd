"""The two photographs of the demo: in the public domain, and already on disk inside well-known packages."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import BackendUnavailableError
from qcface_sdk.image import read_image

Image = NDArray[np.uint8]
Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph that ships inside a package, and what the demo must know to draw with it."""

    person: str
    """Who is shown."""

    subject: str
    """Id under which the demo enrols the person."""

    credit: str
    """Origin and legal status."""

    package: str
    """Import name of the package that holds the file."""

    inside: str
    """Path of the file in that package."""

    outline: tuple[Point, ...]
    """Rough outline of the figure in pixels, for cutting it out."""

    eyes: Point
    """Middle between the eyes, in pixels."""

    pixels_per_metre: float
    """Estimated from the height of the face, taken as 0.19 m from hair line to chin."""

    clothes: tuple[int, int, int]
    """BGR of the clothes, to draw what lies below the photograph's edge."""

    def locate(self) -> Path:
        """Return the file's path without importing the package.

        Raises
        ------
        BackendUnavailableError
            If the package, or the file in it, is missing.
        """
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            file = Path(folder) / self.inside
            if file.is_file():
                return file
        raise BackendUnavailableError(
            f"the demo needs the photograph {self.package}/{self.inside}, which is not installed; "
            'run: pip install "qcface-sdk[demo]"'
        )

    def read(self) -> Image:
        """Return the photograph as BGR uint8 (H, W, 3); raises as `locate` and `read_image`."""
        return read_image(self.locate())


COLLINS = Photograph(
    person="Eileen Collins",
    subject="eileen-collins",
    credit="NASA S99-01411, public domain; file skimage/data/astronaut.png of scikit-image",
    package="skimage",
    inside="data/astronaut.png",
    outline=(
        *((225, 14), (190, 22), (165, 42), (152, 75), (160, 108), (178, 124), (184, 150), (140, 158), (114, 190)),
        *((116, 215), (85, 232), (46, 275), (34, 330), (21, 400), (20, 450), (34, 490), (66, 511), (511, 511)),
        *((497, 455), (486, 400), (455, 362), (410, 344), (364, 352), (356, 300), (345, 272), (312, 240)),
        *((300, 212), (282, 188), (258, 174), (262, 150), (274, 130), (297, 112), (302, 75), (290, 42), (262, 20)),
    ),
    eyes=(227, 104),
    pixels_per_metre=580.0,
    clothes=(44, 92, 214),
)
"""The person who is enrolled and recognised."""

HOPPER = Photograph(
    person="Grace Hopper",
    subject="grace-hopper",
    credit="US Navy, J. S. Davis, public domain; file sample_data/grace_hopper.jpg of Matplotlib",
    package="matplotlib",
    inside="mpl-data/sample_data/grace_hopper.jpg",
    outline=(
        *((262, 22), (215, 36), (178, 68), (150, 95), (147, 140), (158, 165), (152, 195), (160, 250), (170, 272)),
        *((196, 294), (200, 318), (130, 352), (62, 380), (34, 430), (14, 599), (511, 599), (511, 428), (480, 384)),
        *((400, 354), (335, 322), (336, 305), (352, 282), (362, 240), (378, 205), (373, 178), (371, 140)),
        *((370, 95), (350, 72), (328, 48), (300, 30)),
    ),
    eyes=(265, 195),
    pixels_per_metre=1050.0,
    clothes=(44, 30, 26),
)
"""The stranger, who must be refused."""
