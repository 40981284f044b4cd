"""Whether a face is a person or a picture of one: the hook that a door asks before it accepts."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.results import Face


class LivenessCheck(Protocol):
    """Judges one face in one picture; a door asks it on several and takes the mean. Thread-safe.

    What it raises, or a number that is not finite, keeps the door shut.
    """

    @property
    def name(self) -> str:
        """For logs."""

    @property
    def threshold(self) -> float:
        """Smallest mean score that counts as living, 0..1."""

    def score(self, image: NDArray[np.uint8], face: Face) -> float:
        """Return how sure it is that the face is living, 0..1.

        Parameters
        ----------
        image : ndarray of uint8, shape (H, W, 3)
            The whole picture, BGR: the edge of a sheet or a screen lies outside the face.
        face : Face
            Found in it.
        """
