"""What the demo writes: the page, its charts and the contact sheet."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from qcface_sdk.demo.charts import curve_chart, decide, walk_chart
from qcface_sdk.demo.page import make_page
from qcface_sdk.demo.report import STRANGER_WALK, WALK, Report
from qcface_sdk.demo.sheet import annotated, describe, evenly, make_sheet
from qcface_sdk.results import Outcome

_VOID = {"meta", "img", "br", "hr", "link"}


class _Balance(HTMLParser):
    """Checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return make_page(report)


def test_make_page_is_well_formed_and_needs_nothing_else(page: str) -> None:
    parser = _Balance()
    parser.feed(page)
    assert parser.open == []
    assert parser.sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in parser.sources)
    assert not re.search(r"url\(|@import|<script|<link", page)


def test_make_page_shows_every_picture_and_its_decision(page: str, report: Report) -> None:
    for outcome in Outcome:
        count = sum(shot.outcome is outcome for shot in report.shots)
        assert page.count(f'<figure class="card {outcome.value}">') == count
    assert all(describe(shot) in page for shot in report.shots)


def test_make_page_says_what_it_is_not(page: str) -> None:
    assert "not a measurement of accuracy" in page
    assert "easier than a new photograph" in page


def test_make_page_is_light_and_dark(page: str) -> None:
    assert "prefers-color-scheme:dark" in page


def test_make_page_of_a_failure_says_so(report: Report) -> None:
    other = report.group(STRANGER_WALK)[0].result
    broken = replace(report, shots=(replace(report.shots[0], result=other), *report.shots[1:]))
    page = make_page(broken)
    assert "Something went wrong" in page
    assert "was not recognised" in page


def test_make_page_escapes_names(report: Report) -> None:
    assert "<script>" not in make_page(replace(report, person="<script>alert(1)</script>"))


def test_charts_are_well_formed_and_colour_by_outcome(report: Report) -> None:
    walk, stranger = report.group(WALK), report.group(STRANGER_WALK)
    chart = ElementTree.fromstring(walk_chart(report, walk, stranger))
    dots = [element for element in chart.iter() if element.tag == "circle"]
    assert len(dots) == 2 * sum(shot.face is not None for shot in (*walk, *stranger))
    small = ElementTree.fromstring(curve_chart(report.curves[0], report))
    assert sum(element.tag == "circle" for element in small.iter()) == 7


def test_walk_chart_leaves_a_gap_where_no_face_was_found(report: Report) -> None:
    shot = report.group(WALK)[-1]
    gone = replace(shot, face=None, result=replace(shot.result, candidates=()))
    walk = tuple(replace(item, distance_m=9.0 - i) for i, item in enumerate((shot, shot, gone, shot, shot)))
    chart = ElementTree.fromstring(walk_chart(report, walk, ()))
    lines = [element.get("points", "").split() for element in chart.iter() if element.tag == "polyline"]
    assert [len(line) for line in lines] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("similarity", "quality", "outcome"),
    [(0.5, 10, Outcome.ACCEPT), (0.49, 10, Outcome.REJECT), (0.9, 9.9, Outcome.RETRY)],
)
def test_decide_follows_the_rules_of_a_comparison(similarity: float, quality: float, outcome: Outcome) -> None:
    assert decide(similarity, quality, threshold=0.5, retry_below=10) is outcome


def test_evenly_keeps_the_ends(report: Report) -> None:
    walk = report.group(WALK)
    assert evenly(walk, 3) == (walk[0], walk[2], walk[4])
    assert evenly(walk, 9) == walk


def test_annotated_fits_into_its_place(report: Report) -> None:
    for shot in report.shots[::5]:
        height, width = annotated(shot, (270, 210), 0.8).shape[:2]
        assert width <= 270
        assert height <= 210
        assert width == 270 or height == 210


def test_make_sheet_is_one_picture_of_all_blocks(report: Report) -> None:
    sheet = make_sheet(report)
    assert sheet.shape[1] == 2 * 36 + 6 * 270 + 5 * 20
    assert sheet.shape[0] > 1200
