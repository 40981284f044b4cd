from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from qcface_sdk.charts import HEIGHT, WIDTH, Axis, draw_lines


def points(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [tuple(map(float, pair.split(","))) for pair in line.split()] for line in re.findall(r'points="([^"]*)"', svg)
    ]


def test_draw_lines_is_well_formed_and_inside_its_frame() -> None:
    svg = draw_lines("A < B & C", Axis("x"), Axis("y"), {"one": ([0, 1, 2], [0, 5, 3]), "two": ([0, 2], [1, 1])})
    ElementTree.fromstring(svg)
    for line in points(svg):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in line)


def test_draw_lines_linear_axes_place_points_proportionally() -> None:
    (line,) = points(draw_lines("t", Axis("x", limits=(0, 4)), Axis("y", limits=(0, 2)), {"": ([0, 1, 4], [0, 1, 2])}))
    (x0, y0), (x1, y1), (x2, y2) = line
    assert math.isclose((x1 - x0) / (x2 - x0), 0.25, abs_tol=1e-3)
    assert math.isclose((y1 - y0) / (y2 - y0), 0.5, abs_tol=1e-3)
    assert y2 < y0


def test_draw_lines_log_axis_places_decades_evenly_and_drops_zero() -> None:
    (line,) = points(draw_lines("t", Axis("x", log=True), Axis("y"), {"": ([0, 1e-4, 1e-3, 1e-2], [9, 1, 2, 3])}))
    assert len(line) == 3
    assert math.isclose(line[1][0] - line[0][0], line[2][0] - line[1][0], abs_tol=0.2)


def test_draw_lines_one_value_or_none_still_draws() -> None:
    level = draw_lines("t", Axis("x"), Axis("y"), {"": ([1, 2], [3, 3])})
    empty = draw_lines("t", Axis("x", log=True), Axis("y", log=True), {"": ([math.nan], [0])})
    assert all(ElementTree.fromstring(chart).tag.endswith("svg") for chart in (level, empty))
