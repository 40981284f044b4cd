"""Points, boxes and the reference face; plain arithmetic on arrays.

One rule for every kernel: a point (x, y) counts in pixels and whole numbers are pixel *centres*, so resizing a
picture by s moves x to ``(x + 0.5) * s - 0.5``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CROP_SIDE = 112
"""Side of an aligned face in pixels."""

# ArcFace reference points for a 112 x 112 crop: insightface, python-package/insightface/utils/face_align.py.
REFERENCE_POINTS: NDArray[np.float32] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
REFERENCE_POINTS.setflags(write=False)


def rescale_points(points: NDArray[np.float32], scale_xy: tuple[float, float]) -> NDArray[np.float32]:
    """Return points of a picture as they lie after it was resized by `scale_xy`.

    Parameters
    ----------
    points : ndarray of float32, shape (..., 2)
        (x, y) in pixels.
    scale_xy : tuple of float
        Factors for x and y; larger than 1 enlarges.

    Returns
    -------
    ndarray of float32, shape (..., 2)

    Examples
    --------
    >>> rescale_points(np.array([[0.0, 9.0]], np.float32), (2.0, 2.0)).tolist()
    [[0.5, 18.5]]
    """
    scale = np.array(scale_xy, dtype=np.float64)
    return np.asarray((points + 0.5) * scale - 0.5, dtype=np.float32)


def box_sides(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the shorter side of each box.

    Parameters
    ----------
    boxes : ndarray of float32, shape (N, 4)
        x1, y1, x2, y2 in pixels.

    Returns
    -------
    ndarray of float32, shape (N,)
        Pixels.
    """
    return np.asarray(np.minimum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]), dtype=np.float32)


def box_areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the area of each box in square pixels, shape (N,)."""
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), dtype=np.float32)
