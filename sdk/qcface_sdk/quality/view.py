"""What measures look at, made once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.results import Face

INNER = (slice(30, 106), slice(24, 88))
"""Rows and columns of the aligned crop that hold skin, eyes, nose and mouth of almost every face, and no background."""


@dataclass(frozen=True, slots=True)
class FaceView:
    """One face: where it lies, and how it looks on the reference points."""

    size_wh: tuple[int, int]
    """Width and height of the picture in pixels."""
    bbox: NDArray[np.float32]
    """(4,): x1, y1, x2, y2."""
    kps: NDArray[np.float32]
    """(5, 2)."""
    crop: NDArray[np.uint8] | None
    """(112, 112, 3) BGR, aligned; ``None`` if the landmarks fix no alignment."""
    luma: NDArray[np.float32] | None
    """(112, 112) brightness, 0..255, of the crop."""

    @classmethod
    def of(cls, image: NDArray[np.uint8], face: Face, crop: NDArray[np.uint8] | None) -> FaceView:
        """Make the view of a face found in `image`, `crop` being its aligned crop."""
        luma = None if crop is None else cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
        return cls((image.shape[1], image.shape[0]), face.bbox, face.kps, crop, luma)

    @classmethod
    def of_crop(cls, crop: NDArray[np.uint8]) -> FaceView:
        """Make the view of a face that is known only as its aligned crop; what needs the frame reads as perfect."""
        from qcface_sdk.geometry import REFERENCE_POINTS

        box = np.array([0, 0, crop.shape[1], crop.shape[0]], np.float32)
        return cls.of(crop, Face(box, REFERENCE_POINTS, 1.0), crop)

    @property
    def inner(self) -> NDArray[np.float32] | None:
        """Brightness of the inner face."""
        return None if self.luma is None else self.luma[INNER]
