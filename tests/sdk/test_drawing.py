from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.drawing import (
    OUTCOME_COLOURS,
    Tile,
    annotate,
    contact_sheet,
    draw_quality_meter,
    draw_text,
    fit_text,
    quality_colour,
    text_size,
)
from qcface_sdk.errors import OptionError, ShapeError
from qcface_sdk.results import Face, Outcome

GREY = (90, 90, 90)


@pytest.fixture
def picture() -> np.ndarray:
    return np.full((240, 320, 3), GREY, np.uint8)


def _face(x: float = 100, y: float = 80, side: float = 80, quality: float | None = 70.0) -> Face:
    box = np.array([x, y, x + side, y + side])
    kps = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]) * side + (x, y)
    return Face(box, kps, 0.9, np.ones(4, np.float32), "qc1-x", 0.5, quality)


def _has(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour, np.uint8)).all(axis=2).any())


def test_annotate_leaves_the_picture_untouched(picture: np.ndarray) -> None:
    before = picture.copy()
    drawn = annotate(picture, [_face()])
    np.testing.assert_array_equal(picture, before)
    assert drawn.shape == picture.shape
    assert not np.array_equal(drawn, picture)


def test_annotate_without_faces_is_an_equal_copy(picture: np.ndarray) -> None:
    drawn = annotate(picture, [])
    np.testing.assert_array_equal(drawn, picture)
    assert drawn is not picture


def test_annotate_draws_only_near_the_face(picture: np.ndarray) -> None:
    drawn = annotate(picture, [_face()], labels=[""])
    changed = np.argwhere((drawn != picture).any(axis=2))
    assert (changed.min(axis=0) >= (70, 90)).all()
    assert (changed.max(axis=0) <= (180, 190)).all()


@pytest.mark.parametrize("outcome", Outcome)
def test_annotate_colours_the_box_by_outcome(picture: np.ndarray, outcome: Outcome) -> None:
    drawn = annotate(picture, [_face()], outcomes=[outcome])
    assert _has(drawn, OUTCOME_COLOURS[outcome])
    others = [colour for other, colour in OUTCOME_COLOURS.items() if other is not outcome]
    plate = drawn[55:75, 95:150]
    assert not any(_has(plate, colour) for colour in others)


def test_annotate_of_a_strided_crop_needs_no_copy(picture: np.ndarray) -> None:
    crop = picture[20:220, 30:300]
    assert annotate(crop, [_face()]).shape == (200, 270, 3)


@pytest.mark.parametrize("x", [-60, 290])
@pytest.mark.parametrize("y", [-60, 210])
def test_annotate_face_beyond_the_border_is_drawn_as_far_as_it_shows(picture: np.ndarray, x: int, y: int) -> None:
    drawn = annotate(picture, [_face(x, y)], labels=["somebody with a long name"])
    assert not np.array_equal(drawn, picture)


@pytest.mark.parametrize("option", ["labels", "outcomes"])
def test_annotate_with_another_number_of_labels_is_refused(picture: np.ndarray, option: str) -> None:
    with pytest.raises(ShapeError, match=option):
        annotate(picture, [_face()], **{option: []})


def test_annotate_of_a_grey_picture_is_refused() -> None:
    with pytest.raises(ShapeError, match="grey"):
        annotate(np.zeros((100, 100), np.uint8), [])


def test_annotate_with_no_unit_is_refused(picture: np.ndarray) -> None:
    with pytest.raises(OptionError, match="unit"):
        annotate(picture, [], unit=0.0)


def test_quality_colour_runs_from_red_over_amber_to_green() -> None:
    red, amber, green = (quality_colour(quality) for quality in (0.0, 50.0, 100.0))
    assert red == OUTCOME_COLOURS[Outcome.REJECT]
    assert green == OUTCOME_COLOURS[Outcome.ACCEPT]
    assert red[2] > 200
    assert green[1] > green[2]
    assert amber[1] > red[1]
    assert quality_colour(-5.0) == red
    assert quality_colour(500.0) == green


@given(quality=st.floats(0, 100))
def test_draw_quality_meter_fills_in_proportion(quality: float) -> None:
    image = np.full((20, 220, 3), 255, np.uint8)
    draw_quality_meter(image, quality, (10, 6, 210, 14))
    row = image[10]
    empty = (row == np.array((226, 222, 218))).all(axis=1)
    filled = (row != 255).any(axis=1) & ~empty
    expected = 2 * quality if 2 * quality >= 8 else 0
    assert abs(int(filled.sum()) - expected) <= 6


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40), width=st.floats(30, 400))
def test_fit_text_is_never_wider_than_its_place(text: str, width: float) -> None:
    fitted = fit_text(text, width, 11)
    assert text_size(fitted, 11)[0] <= width or fitted == "..."
    if text_size(text, 11)[0] <= width:
        assert fitted == text


def test_draw_text_stands_on_its_base_line() -> None:
    image = np.full((60, 200, 3), 255, np.uint8)
    draw_text(image, "HHH", (10, 40), 20, (0, 0, 0))
    rows = np.flatnonzero((image < 128).any(axis=(1, 2)))
    assert abs(int(rows.max()) - 40) <= 2
    assert abs(int(rows.max() - rows.min()) - 20) <= 5


def _tiles(count: int) -> list[Tile]:
    shapes = [(100, 300), (300, 100), (16, 16)]
    return [
        Tile(np.full((*shapes[i % 3], 3), GREY, np.uint8), f"tile {i}", "detail", Outcome.ACCEPT, 50.0)
        for i in range(count)
    ]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (4, 2), (7, 3)])
def test_contact_sheet_grows_by_rows(count: int, rows: int) -> None:
    sheet = contact_sheet(_tiles(count), columns=3, tile_width=120, picture_height=90)
    one = contact_sheet(_tiles(1), columns=3, tile_width=120, picture_height=90)
    card = one.shape[0] - 72
    assert sheet.shape[0] == 72 + rows * card + (rows - 1) * 20
    assert sheet.shape[1] == 72 + min(count, 3) * 120 + (min(count, 3) - 1) * 20


def test_contact_sheet_does_not_distort(picture: np.ndarray) -> None:
    white = np.full((100, 200, 3), 255, np.uint8)
    sheet = contact_sheet([Tile(white, "")], tile_width=160, picture_height=160)
    shown = (sheet[36:196, 36:196] == 255).all(axis=2)
    assert shown.sum() == 160 * 80


def test_contact_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least one tile"):
        contact_sheet([])


@pytest.mark.parametrize("option", ["columns", "tile_width", "picture_height"])
def test_contact_sheet_with_a_zero_option_is_refused(option: str) -> None:
    with pytest.raises(OptionError, match=option):
        contact_sheet(_tiles(1), **{option: 0})
