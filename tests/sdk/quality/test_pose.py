from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.geometry import REFERENCE_POINTS
from qcface_sdk.quality.pose import _HEAD, angles_deg


def projected(yaw: float, pitch: float, roll: float, scale: float = 1.0) -> np.ndarray:
    """The generic head, turned about its axes and seen from far away. x right, y down, z towards the camera."""
    a, b, c = (math.radians(angle) for angle in (yaw, pitch, roll))
    turn_y = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    turn_x = np.array([[1, 0, 0], [0, math.cos(b), math.sin(b)], [0, -math.sin(b), math.cos(b)]])
    turn_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
    points = _HEAD @ (turn_z @ turn_y @ turn_x).T
    return (points[:, :2] * scale + 300).astype(np.float32)


def test_reference_face_looks_straight_ahead() -> None:
    yaw, pitch, roll = angles_deg(REFERENCE_POINTS)
    assert abs(yaw) < 2
    assert abs(pitch) < 2
    assert abs(roll) < 1


@pytest.mark.parametrize("scale", [0.3, 4.0])
@given(st.floats(-60, 60), st.floats(-40, 40), st.floats(-80, 80))
def test_angles_of_a_turned_head_come_back(scale: float, yaw: float, pitch: float, roll: float) -> None:
    found = angles_deg(projected(yaw, 0, roll, scale))
    assert found is not None
    assert found[0] == pytest.approx(yaw, abs=0.5)
    assert found[2] == pytest.approx(roll, abs=0.5)
    found = angles_deg(projected(0, pitch, 0, scale))
    assert found is not None
    assert found[1] == pytest.approx(pitch, abs=0.5)


def test_signs_are_those_of_the_picture() -> None:
    right, down = REFERENCE_POINTS.copy(), REFERENCE_POINTS.copy()
    right[2, 0] += 8
    down[2, 1] += 6
    assert angles_deg(right)[0] > 10
    assert angles_deg(down)[1] > 10
    angle = math.radians(20)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], np.float32)
    assert angles_deg(REFERENCE_POINTS @ turn.T)[2] == pytest.approx(20, abs=2)


def test_mirrored_face_has_the_opposite_yaw_and_roll() -> None:
    points = projected(25, 0, 10)
    mirrored = points * np.array([-1, 1], np.float32) + np.array([600, 0], np.float32)
    mirrored = mirrored[[1, 0, 2, 4, 3]]
    yaw, _, roll = angles_deg(mirrored)
    assert yaw == pytest.approx(-25, abs=3)
    assert roll == pytest.approx(-10, abs=3)


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), 7.0), np.arange(10).reshape(5, 2)])
def test_points_without_a_face_have_no_pose(points: np.ndarray) -> None:
    assert angles_deg(points.astype(np.float32)) is None
