"""Bring a face onto the reference points.

The transform is the least-squares similarity (rotation, uniform scale, shift) of five landmarks. For embedding, the
warp writes straight into the network's input, see `qcface_sdk.embedding`; `align` makes pictures to look at or keep.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from qcface_sdk._native import align as kernels
from qcface_sdk.checks import check_image, check_landmarks
from qcface_sdk.errors import DegenerateLandmarksError
from qcface_sdk.geometry import CROP_SIDE, REFERENCE_POINTS


def similarity_transforms(kps: Any) -> NDArray[np.float64]:
    """Return the similarity transform of each face from the picture to the reference points.

    Parameters
    ----------
    kps : array_like of float, shape (N, 5, 2) or (5, 2)
        (x, y) in pixels: left eye, right eye, nose, left and right mouth corner, as seen in the picture.

    Returns
    -------
    ndarray of float64, shape (N, 2, 3)
        Affine matrices for column vectors (x, y, 1).

    Raises
    ------
    ShapeError, NotFiniteError
        If `kps` has another shape, or holds NaN.
    DegenerateLandmarksError
        If five points coincide.

    Notes
    -----
    S. Umeyama, IEEE TPAMI 13(4), 1991, eq. 40-42, without reflection.

    Examples
    --------
    >>> similarity_transforms(REFERENCE_POINTS).round(6)[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    points = check_landmarks(kps)
    matrices = np.empty((len(points), 2, 3), dtype=np.float64)
    kernels.similarity_transforms(points, REFERENCE_POINTS, matrices)
    bad = np.flatnonzero(~np.isfinite(matrices).all(axis=(1, 2)))
    if bad.size:
        raise DegenerateLandmarksError(
            f"five distinct landmarks are needed to align a face, got coinciding points for face {int(bad[0])}; "
            "drop that face"
        )
    # +0.0 turns a negative zero into a plain one.
    return np.asarray(matrices + 0.0, dtype=np.float64)


def align(image: Any, kps: Any) -> NDArray[np.uint8]:
    """Warp faces so that their landmarks land on the reference points.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        BGR. Not modified.
    kps : array_like of float, shape (N, 5, 2) or (5, 2)
        Landmarks in pixels, in InsightFace's order.

    Returns
    -------
    ndarray of uint8, shape (N, 112, 112, 3)
        BGR; black where the warp falls outside `image`.

    Raises
    ------
    ShapeError, ImageSizeError, NotFiniteError
        If an argument has another shape, dtype or size, or holds NaN.
    DegenerateLandmarksError
        If five points coincide.

    Examples
    --------
    >>> align(np.zeros((480, 640, 3), np.uint8), REFERENCE_POINTS).shape
    (1, 112, 112, 3)
    """
    frame = check_image(image)
    matrices = similarity_transforms(kps)
    crops = np.empty((len(matrices), CROP_SIDE, CROP_SIDE, 3), dtype=np.uint8)
    kernels.warp_faces_u8(frame, matrices, crops)
    return crops
