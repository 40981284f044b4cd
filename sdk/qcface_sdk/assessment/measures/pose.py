"""Direction of the head, estimated from the five points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.assessment.measures.measure import Measure
from qcface_sdk.assessment.view import FaceView

# A mean head in millimetres: x to the right of the picture, y down, z towards the camera; the nose tip stands out.
_HEAD = np.array(
    [[-32.0, -34.0, -28.0], [32.0, -34.0, -28.0], [0.0, 0.5, 0.0], [-26.0, 36.0, -22.0], [26.0, 36.0, -22.0]]
)


def head_angles(kps: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return yaw, pitch and roll in degrees, all 0 for a face that looks into the camera.

    Five points and a mean head give no more than an estimate, some ten degrees off for a head unlike the mean.

    Notes
    -----
    Scaled orthographic projection: least squares for the two rows of the projection, then the nearest rotation.
    """
    points = kps.astype(np.float64) - kps.mean(axis=0)
    head = _HEAD - _HEAD.mean(axis=0)
    rows = np.linalg.lstsq(head, points, rcond=None)[0].T
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    first, second = left @ right
    third = np.cross(first, second)
    yaw = math.degrees(math.atan2(first[2], third[2]))
    pitch = math.degrees(math.atan2(second[2], math.hypot(first[2], third[2])))
    roll = math.degrees(math.atan2(second[0], first[0]))
    return yaw, pitch, roll


def turned_by(view: FaceView) -> float:
    """Return by how many degrees the head is turned away from the camera; a tilt in the picture is no turn."""
    yaw, pitch, _ = head_angles(view.kps)
    return math.degrees(math.acos(math.cos(math.radians(yaw)) * math.cos(math.radians(pitch))))


MEASURE = Measure(
    name="pose",
    unit="degrees away from the camera",
    clause="7.4.11 Head pose",
    advice="look into the camera",
    advice_high="look into the camera",
    raw=turned_by,
)
