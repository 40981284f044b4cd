from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk import Face, OptionError
from qcface_sdk.camera import DoorRules


def face(x: float, y: float, size: float = 20.0) -> Face:
    return Face(np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2]), np.zeros((5, 2)), 0.9)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_face": 0},
        {"fmr": 1.0},
        {"fpir": 0.0},
        {"threshold": 2.0},
        {"fmr": 1e-4, "fpir": 1e-3},
        {"zone": ((0, 0), (1, 1))},
        {"zone": ((0, 0), (1, 1), (2, 0))},
        {"zone": ((0, 0), (1, 1), "x")},
        {"zone": (1, 2, 3)},
        {"focus": "tallest"},
        {"credential": "maybe"},
        {"max_pictures": 1},
        {"attempts": 0},
        {"enough_fnmr": 2},
        {"patience": float("nan")},
        {"seen_pictures": 1.5},
    ],
)
def test_rules_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        DoorRules(**wrong)


@given(x=st.floats(0.01, 0.99), y=st.floats(0.01, 0.99))
def test_zone_agrees_with_an_independent_test_of_a_triangle(x: float, y: float) -> None:
    corners = np.array([(0.1, 0.1), (0.9, 0.3), (0.4, 0.95)])
    signs = [float(np.linalg.det([corners[(i + 1) % 3] - corners[i], np.array([x, y]) - corners[i]])) for i in range(3)]
    if min(abs(sign) for sign in signs) < 1e-3:
        return
    rules = DoorRules(zone=tuple(map(tuple, corners.tolist())))
    assert rules.inside_zone(face(x * 1000, y * 500), (1000, 500)) == (len({sign > 0 for sign in signs}) == 1)


def test_no_zone_is_everywhere_and_a_zone_may_be_hollow() -> None:
    assert DoorRules().inside_zone(face(5, 5), (100, 100))
    u_shape = ((0, 0), (0.3, 0), (0.3, 0.7), (0.7, 0.7), (0.7, 0), (1, 0), (1, 1), (0, 1))
    rules = DoorRules(zone=u_shape)
    assert rules.inside_zone(face(15, 30), (100, 100))
    assert not rules.inside_zone(face(50, 30), (100, 100))
    assert rules.inside_zone(face(50, 90), (100, 100))


def test_focus() -> None:
    faces = (face(10, 10, 30), face(90, 90, 20), face(50, 50, 10))
    assert DoorRules().in_focus(faces, (100, 100)) == faces
    assert DoorRules(focus="largest").in_focus(faces, (100, 100)) == faces[:1]
    assert DoorRules(focus="nearest", focus_point=(1, 1)).in_focus(faces, (100, 100)) == faces[1:2]
    assert DoorRules(focus="largest").in_focus((), (100, 100)) == ()
