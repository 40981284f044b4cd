"""A hint that something covers a part of the face: a mask, a hand, a scarf."""

from __future__ import annotations

import cv2
import numpy as np

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView

# Eyes, nose and mouth on the aligned crop: rows and columns of what always has edges in a face.
_PARTS = ((44, 62, 22, 54), (44, 62, 58, 90), (60, 82, 40, 72), (82, 104, 34, 78))
_LEAST = 1e-3


def evenness(view: FaceView) -> float:
    """Return the texture of the plainest of eyes, nose and mouth, as a share of the mean of all four.

    Whatever damages the whole face alike, such as blur or darkness, leaves it as it is; a cover over one part does
    not. It is a hint: a patterned cover passes, and a plain shadow may not.
    """
    across = cv2.Sobel(view.luma, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(view.luma, cv2.CV_32F, 0, 1)
    strength = np.hypot(np.asarray(across), np.asarray(down))
    parts = np.array([strength[top:bottom, left:right].mean() for top, bottom, left, right in _PARTS])
    return float(parts.min() / max(float(parts.mean()), _LEAST))


MEASURE = Measure(
    name="occlusion",
    unit="texture of the plainest part over the mean",
    clause="7.4.7 Face occlusion prevention",
    advice="take off mask, scarf or sunglasses, and keep hands away from the face",
    advice_high="",
    raw=evenness,
)
