"""Sharpness of the face."""

from __future__ import annotations

import cv2
import numpy as np

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView

_LEAST_CONTRAST = 4.0


def relative_sharpness(view: FaceView) -> float:
    """Return the deviation of the Laplacian over the face, as a share of the contrast.

    Dividing by the contrast keeps a dark picture from counting as a blurred one. A light blur beforehand keeps noise
    from counting as sharpness.
    """
    smooth = cv2.GaussianBlur(view.luma, (0, 0), 1.0)
    edges = np.asarray(cv2.Laplacian(smooth, cv2.CV_32F), np.float32)[view.mask]
    return float(edges.std() / max(float(smooth[view.mask].std()), _LEAST_CONTRAST))


MEASURE = Measure(
    name="sharpness",
    unit="Laplacian over contrast",
    clause="7.3.8 Sharpness",
    advice="hold still, and clean or focus the lens",
    advice_high="",
    raw=relative_sharpness,
)
