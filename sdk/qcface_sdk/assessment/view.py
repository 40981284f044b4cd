"""What the measures look at: the picture, the face in it, and the aligned crop."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# The face inside an aligned crop of 112: an ellipse about eyes and mouth, without hair and background.
_CENTRE, _AXES = (56, 68), (36, 44)


@dataclass(frozen=True, slots=True, eq=False)
class FaceView:
    """One face, prepared once for all measures."""

    frame_wh: tuple[int, int]
    """Size of the picture it was found in."""
    bbox: NDArray[np.float32]
    """(4,), x1, y1, x2, y2."""
    kps: NDArray[np.float32]
    """(5, 2)."""
    crop: NDArray[np.uint8]
    """(112, 112, 3), BGR, aligned."""
    luma: NDArray[np.float32]
    """(112, 112), 0..255."""
    mask: NDArray[np.bool_]
    """(112, 112), where the face is."""


def make_view(
    frame_wh: tuple[int, int], bbox: NDArray[np.float32], kps: NDArray[np.float32], crop: NDArray[np.uint8]
) -> FaceView:
    """Return the view of an aligned face."""
    luma = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY).astype(np.float32)
    mask = np.zeros(luma.shape, np.uint8)
    cv2.ellipse(mask, _CENTRE, _AXES, 0.0, 0.0, 360.0, 1, -1)
    return FaceView(frame_wh, bbox, kps, crop, np.asarray(luma, np.float32), mask.astype(bool))
