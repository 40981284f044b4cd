"""Pose: how far the head is turned, from five points.

The five points are taken for a weak-perspective picture of a generic head: least squares gives two rows of a rotation
times a scale, from which the angles follow (DeMenthon and Davis, IJCV 15, 1995, the first step of POSIT). The head is
the ArcFace reference face with depths of an average adult: eyes on the plane, mouth corners and nose tip before it.
Five points carry no more than a rough pose: good to ten degrees or so, and no use beyond profile.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_sdk.quality.measure import Fault, Measure
from qcface_sdk.quality.view import FaceView

# Towards the camera, in pixels of the reference face (63 mm between the pupils are 35.2 of them): the nose tip about
# 25 mm before the eyes, the corners of the mouth about 5 mm.
_DEPTHS = (0.0, 0.0, 14.0, 2.8, 2.8)
_HEAD = np.column_stack([REFERENCE_POINTS.astype(np.float64), _DEPTHS])
_HEAD -= _HEAD.mean(axis=0)
_SOLVE = np.linalg.pinv(_HEAD)

Angles = tuple[float, float, float]


def angles_deg(kps: NDArray[np.float32]) -> Angles | None:
    """Return yaw, pitch and roll in degrees.

    Parameters
    ----------
    kps : ndarray of float, shape (5, 2)
        Landmarks in InsightFace's order.

    Returns
    -------
    tuple of float, or None
        Yaw: the nose points to the right of the picture. Pitch: it points down. Roll: the head is turned clockwise as
        seen. ``None`` if the points lie on one line.
    """
    points = kps.astype(np.float64)
    rows = (_SOLVE @ (points - points.mean(axis=0))).T  # (2, 3): scaled first two rows of the rotation
    lengths = np.linalg.norm(rows, axis=1)
    if not np.isfinite(lengths).all() or lengths.min() < 1e-6 * max(1.0, lengths.max()):
        return None
    across = rows[0] / lengths[0]
    down = rows[1] - across * (rows[1] @ across)
    if np.linalg.norm(down) < 1e-6 * lengths[1]:
        return None
    down /= np.linalg.norm(down)
    towards = np.cross(across, down)
    # The rotation is roll, after yaw, after pitch: its last row is (-sin yaw, -cos yaw sin pitch, cos yaw cos pitch).
    yaw = math.degrees(math.asin(float(np.clip(-towards[0], -1, 1))))
    pitch = math.degrees(math.atan2(float(-towards[1]), float(towards[2])))
    roll = math.degrees(math.atan2(float(down[0]), float(across[0])))
    return yaw, pitch, roll


def _yaw(view: FaceView) -> float | None:
    angles = angles_deg(view.kps)
    return None if angles is None else angles[0]


def _pitch(view: FaceView) -> float | None:
    angles = angles_deg(view.kps)
    return None if angles is None else angles[1]


def _roll(view: FaceView) -> float | None:
    angles = angles_deg(view.kps)
    return None if angles is None else angles[2]


_TURNED = Fault("turned_away", "look straight at the camera")
_TILTED = Fault("tilted", "hold the head upright")
YAW = Measure("yaw", "deg", "HeadPoseYaw", _yaw, _TURNED, _TURNED)
PITCH = Measure("pitch", "deg", "HeadPosePitch", _pitch, _TURNED, _TURNED)
ROLL = Measure("roll", "deg", "HeadPoseRoll", _roll, _TILTED, _TILTED)
