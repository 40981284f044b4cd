"""Draw what the SDK found: boxes, points, quality meters and decisions on a picture, and sheets of pictures.

Nothing here changes the picture passed in, and nothing needs a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.checks import check_image, check_positive, check_positive_int
from qcface_sdk.errors import ShapeError
from qcface_sdk.results import Face, Outcome

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

INK: Colour = (43, 35, 28)
PAPER: Colour = (250, 248, 246)
MUTED: Colour = (128, 116, 104)
NEUTRAL: Colour = (214, 158, 64)
OUTCOME_COLOURS: dict[Outcome, Colour] = {
    Outcome.ACCEPT: (94, 160, 38),
    Outcome.RETRY: (24, 150, 230),
    Outcome.REJECT: (66, 62, 214),
}
"""BGR: green, amber, red."""

_LOW_QUALITY: Colour = (66, 62, 214)
_HALF_QUALITY: Colour = (24, 176, 236)
_HIGH_QUALITY: Colour = (94, 160, 38)
_REFERENCE_SIDE = 480.0
"""Pixels. Lines and letters keep their size up to this picture side and grow with the picture above it."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture of a contact sheet with what is written under it."""

    image: Image
    """BGR uint8 (H, W, 3); fitted into the tile without distortion."""

    caption: str
    """First line, bold."""

    detail: str = ""
    """Second line, small."""

    outcome: Outcome | None = None
    """Colours the tile's badge and frame."""

    quality: float | None = None
    """0..100; drawn as a bar under the picture."""


def quality_colour(quality: float) -> Colour:
    """Return the colour of a quality 0..100 as BGR: red, amber, green, blended."""
    share = min(max(quality, 0.0), 100.0) / 50.0
    low, high = (_LOW_QUALITY, _HALF_QUALITY) if share < 1 else (_HALF_QUALITY, _HIGH_QUALITY)
    part = share if share < 1 else share - 1
    blue, green, red = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return blue, green, red


def text_size(text: str, height: float, *, bold: bool = False) -> tuple[int, int]:
    """Return width and height in pixels of `text` drawn by `draw_text`."""
    font, scale, thickness = _font(height, bold)
    (width, tall), _ = cv2.getTextSize(text, font, scale, thickness)
    return int(width), int(tall)


def draw_text(
    image: Image, text: str, left_baseline: tuple[float, float], height: float, colour: Colour, *, bold: bool = False
) -> None:
    """Write one line of ASCII text into `image`, in place.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        Drawn into.
    text : str
        Letters outside ASCII are shown as question marks by older OpenCV versions.
    left_baseline : tuple of float
        (x, y) in pixels of the left end of the base line.
    height : float
        Height of a capital letter in pixels.
    colour : tuple of int
        BGR.
    bold : bool, default False
        Heavier letters.
    """
    font, scale, thickness = _font(height, bold)
    origin = (round(left_baseline[0]), round(left_baseline[1]))
    cv2.putText(image, text, origin, font, scale, colour, thickness, cv2.LINE_AA)


def fit_text(text: str, width: float, height: float, *, bold: bool = False) -> str:
    """Return `text`, shortened with dots if it is wider than `width` pixels at that letter height."""
    if text_size(text, height, bold=bold)[0] <= width:
        return text
    while text and text_size(text + "...", height, bold=bold)[0] > width:
        text = text[:-1]
    return text.rstrip() + "..."


def draw_quality_meter(image: Image, quality: float, box: tuple[float, float, float, float]) -> None:
    """Draw a horizontal bar filled in proportion to `quality` (0..100) into `box` (x1, y1, x2, y2), in place."""
    x1, y1, x2, y2 = (round(v) for v in box)
    _pill(image, (x1, y1, x2, y2), (226, 222, 218))
    filled = x1 + round((x2 - x1) * min(max(quality, 0.0), 100.0) / 100.0)
    if filled - x1 >= y2 - y1:
        _pill(image, (x1, y1, filled, y2), quality_colour(quality))


def annotate(
    image: Image,
    faces: Sequence[Face],
    *,
    labels: Sequence[str] | None = None,
    outcomes: Sequence[Outcome | None] | None = None,
    unit: float | None = None,
) -> Image:
    """Return a copy of a picture with its faces marked.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        BGR. Not modified.
    faces : sequence of Face
        As `FaceEngine.get` or `FaceEngine.detect` returned them for this picture.
    labels : sequence of str, optional
        What to write above each face; default is its number and, where known, its quality.
    outcomes : sequence of Outcome or None, optional
        Colours each box green, amber or red; ``None`` leaves it blue.
    unit : float, optional
        Size of lines and letters, 1 for ten-pixel letters; default grows with the picture.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Raises
    ------
    OptionError
        If `unit` is not above 0.
    ShapeError
        If `image` is not a BGR picture, or `labels` or `outcomes` is not as long as `faces`.
    """
    drawn: Image = check_image(image).copy()
    for name, values in (("labels", labels), ("outcomes", outcomes)):
        if values is not None and len(values) != len(faces):
            raise ShapeError(f"{name} must have one entry per face, got {len(values)} for {len(faces)} faces")
    if unit is None:
        unit = max(1.0, min(drawn.shape[:2]) / _REFERENCE_SIDE)
    unit = check_positive("unit", unit)
    for index, face in enumerate(faces):
        label = labels[index] if labels is not None else _default_label(index, face)
        outcome = outcomes[index] if outcomes is not None else None
        _draw_face(drawn, face, label, NEUTRAL if outcome is None else OUTCOME_COLOURS[outcome], unit)
    return drawn


def contact_sheet(
    tiles: Sequence[Tile],
    *,
    title: str = "",
    subtitle: str = "",
    columns: int = 4,
    tile_width: int = 280,
    picture_height: int = 240,
) -> Image:
    """Return one picture that shows many, each with its caption, decision and quality.

    Parameters
    ----------
    tiles : sequence of Tile
        Row by row.
    title, subtitle : str, optional
        Head of the sheet.
    columns : int, default 4
        Tiles in a row.
    tile_width, picture_height : int
        Pixels of the place that each picture is fitted into.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        BGR.

    Raises
    ------
    ShapeError
        If there is no tile, or a tile's picture is not BGR uint8.
    OptionError
        If `columns`, `tile_width` or `picture_height` is not a whole number of at least 1.
    """
    if not tiles:
        raise ShapeError("a contact sheet must have at least one tile, got none")
    for name, value in (("columns", columns), ("tile_width", tile_width), ("picture_height", picture_height)):
        check_positive_int(name, value)
    gap, margin = 20, 36
    head = margin + (44 if title else 0) + (30 if subtitle else 0)
    cells = [_tile_card(tile, tile_width, picture_height) for tile in tiles]
    card_height, card_width = cells[0].shape[:2]
    rows = -(-len(cells) // columns)
    columns = min(columns, len(cells))
    sheet = np.empty(
        (head + rows * (card_height + gap) - gap + margin, 2 * margin + columns * (card_width + gap) - gap, 3), np.uint8
    )
    sheet[:] = (240, 236, 233)
    room = sheet.shape[1] - 2 * margin
    if title:
        draw_text(sheet, fit_text(title, room, 20, bold=True), (margin, margin + 20), 20, INK, bold=True)
    if subtitle:
        draw_text(sheet, fit_text(subtitle, room, 11), (margin, head - 22), 11, MUTED)
    for index, cell in enumerate(cells):
        y = head + index // columns * (card_height + gap)
        x = margin + index % columns * (card_width + gap)
        sheet[y : y + card_height, x : x + card_width] = cell
    return sheet


def _font(height: float, bold: bool) -> tuple[int, float, int]:
    # A Hershey capital letter is about 22 pixels high at scale 1.
    font = cv2.FONT_HERSHEY_DUPLEX if bold else cv2.FONT_HERSHEY_SIMPLEX
    return font, height / 22.0, max(1, round(height / 14.0))


def _pill(image: Image, box: tuple[int, int, int, int], colour: Colour) -> None:
    """Fill a bar with round ends, in place."""
    x1, y1, x2, y2 = box
    radius = (y2 - y1) // 2
    middle = y1 + radius
    start = (min(x1 + radius, x2), middle)
    cv2.line(image, start, (max(start[0], x2 - radius), middle), colour, max(1, 2 * radius), cv2.LINE_AA)


def _default_label(index: int, face: Face) -> str:
    if face.quality is None:
        return f"{index + 1}  {face.det_score:.2f}"
    return f"{index + 1}  quality {face.quality:.0f}"


def _draw_face(image: Image, face: Face, label: str, colour: Colour, unit: float) -> None:
    x1, y1, x2, y2 = (float(v) for v in face.bbox)
    _draw_corners(image, (x1, y1, x2, y2), colour, max(1, round(2 * unit)))
    radius = max(1, round(min(x2 - x1, y2 - y1) / 50))
    for x, y in face.kps:
        cv2.circle(image, (round(float(x)), round(float(y))), radius + 1, INK, -1, cv2.LINE_AA)
        cv2.circle(image, (round(float(x)), round(float(y))), radius, (255, 255, 255), -1, cv2.LINE_AA)
    if face.quality is not None:
        top = y2 + 4 * unit
        draw_quality_meter(image, face.quality, (x1, top, max(x2, x1 + 30 * unit), top + 6 * unit))
    if label:
        _draw_label(image, label, (x1, y1 - 5 * unit), colour, 10 * unit)


def _draw_corners(image: Image, box: tuple[float, float, float, float], colour: Colour, thickness: int) -> None:
    x1, y1, x2, y2 = (round(v) for v in box)
    cv2.rectangle(image, (x1, y1), (x2, y2), colour, max(1, thickness // 2), cv2.LINE_AA)
    arm = max(4, min(x2 - x1, y2 - y1) // 5)
    for x, y, dx, dy in ((x1, y1, 1, 1), (x2, y1, -1, 1), (x1, y2, 1, -1), (x2, y2, -1, -1)):
        cv2.line(image, (x, y), (x + dx * arm, y), colour, 2 * thickness, cv2.LINE_AA)
        cv2.line(image, (x, y), (x, y + dy * arm), colour, 2 * thickness, cv2.LINE_AA)


def _draw_label(image: Image, label: str, left_bottom: tuple[float, float], colour: Colour, height: float) -> None:
    """Write `label` on a filled plate that is moved inside the picture where it would stick out."""
    width, _ = text_size(label, height, bold=True)
    pad = 0.6 * height
    plate_width, plate_height = width + 2 * pad, height + 2 * pad
    x = min(max(left_bottom[0], 0.0), max(0.0, image.shape[1] - plate_width))
    y = min(max(left_bottom[1] - plate_height, 0.0), max(0.0, image.shape[0] - plate_height))
    cv2.rectangle(image, (round(x), round(y)), (round(x + plate_width), round(y + plate_height)), colour, -1)
    draw_text(image, label, (x + pad, y + pad + height), height, (255, 255, 255), bold=True)


def _fitted(image: Image, width: int, height: int) -> Image:
    """Return the picture scaled into a box of that size, on a dark ground."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    place: Image = np.empty((height, width, 3), np.uint8)
    place[:] = (48, 40, 34)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    place[y : y + size[1], x : x + size[0]] = small
    return place


def _tile_card(tile: Tile, width: int, height: int) -> Image:
    """Return one card: picture, quality bar, caption and detail."""
    foot, bar = 62, 6
    card: Image = np.empty((height + foot, width, 3), np.uint8)
    card[:] = PAPER
    card[:height] = _fitted(check_image(tile.image), width, height)
    colour = MUTED if tile.outcome is None else OUTCOME_COLOURS[tile.outcome]
    cv2.rectangle(card, (0, height), (width, height + 2), colour, -1)
    room = width - 24
    if tile.outcome is not None:
        word = tile.outcome.value.upper()
        badge = text_size(word, 8, bold=True)[0] + 14
        _pill(card, (width - 10 - badge, height + 13, width - 10, height + 31), colour)
        draw_text(card, word, (width - 3 - badge, height + 26), 8, (255, 255, 255), bold=True)
        room -= badge + 6
    draw_text(card, fit_text(tile.caption, room, 11, bold=True), (12, height + 27), 11, INK, bold=True)
    draw_text(card, fit_text(tile.detail, width - 24, 8.5), (12, height + 44), 8.5, MUTED)
    if tile.quality is not None:
        draw_quality_meter(card, tile.quality, (12, height + foot - 4 - bar, width - 12, height + foot - 4))
    return card
