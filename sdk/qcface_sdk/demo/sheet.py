"""Put the demo's pictures on one contact sheet."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from qcface_sdk.demo.photographs import Image
from qcface_sdk.demo.report import CHANGES, STRANGER, STRANGER_WALK, WALK, Report, Shot
from qcface_sdk.drawing import Tile, annotate, contact_sheet
from qcface_sdk.geometry import rescale_points
from qcface_sdk.results import Outcome

_COLUMNS = 6
_TILE_WH = (270, 210)


def annotated(shot: Shot, place_wh: tuple[int, int], unit: float) -> Image:
    """Return the picture of a shot as large as fits into a place, with face, quality and decision drawn on it."""
    height, width = shot.image.shape[:2]
    scale = min(place_wh[0] / width, place_wh[1] / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = cv2.resize(shot.image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if shot.face is None:
        return np.asarray(image, np.uint8)
    factors = (size[0] / width, size[1] / height)
    corners = rescale_points(shot.face.bbox.reshape(2, 2), factors).reshape(4)
    face = replace(shot.face, bbox=corners, kps=rescale_points(shot.face.kps, factors))
    label = "" if shot.similarity is None else f"{shot.similarity:.2f}"
    return annotate(np.asarray(image, np.uint8), [face], labels=[label], outcomes=[shot.outcome], unit=unit)


def describe(shot: Shot) -> str:
    """Return similarity, quality and face size of a shot in one short line."""
    if shot.face is None:
        return "no face found"
    similarity = "" if shot.similarity is None else f"similarity {shot.similarity:.2f}, "
    return f"{similarity}quality {shot.quality or 0.0:.0f}, {shot.face.size:.0f} px"


def evenly(shots: tuple[Shot, ...], count: int) -> tuple[Shot, ...]:
    """Return `count` of the shots at even distances, with the first and the last."""
    if len(shots) <= count:
        return shots
    return tuple(shots[round(index * (len(shots) - 1) / (count - 1))] for index in range(count))


def make_sheet(report: Report) -> Image:
    """Return the contact sheet, BGR uint8: one block per group."""
    hers = [shot for shot in report.shots if shot.enrolled]
    accepted = sum(shot.outcome is Outcome.ACCEPT for shot in hers)
    others = [shot for shot in report.shots if not shot.enrolled]
    wrong = sum(shot.wrong for shot in others)
    verdict = (
        f"accepted in {accepted} of {len(hers)} pictures of her, the stranger in {wrong} of {len(others)}; "
        f"threshold {report.threshold:.3f} at a false-match rate of {report.fmr:g}; the bar is quality"
    )
    blocks = (
        (report.group(CHANGES), f"{report.person} is enrolled: her photograph, changed", verdict),
        (report.group(STRANGER), f"{report.stranger} is not enrolled", ""),
        (evenly(report.group(WALK), _COLUMNS), f"{report.person} walks towards the door", ""),
        (evenly(report.group(STRANGER_WALK), _COLUMNS), f"{report.stranger} walks towards the door", ""),
    )
    drawn = [_block(*block) for block in blocks]
    width = max(block.shape[1] for block in drawn)
    return np.vstack([_widened(block, width) for block in drawn])


def _widened(block: Image, width: int) -> Image:
    """Return a block with its background continued to the right, for blocks of fewer columns."""
    return np.pad(block, ((0, 0), (0, width - block.shape[1]), (0, 0)), mode="edge")


def _block(shots: tuple[Shot, ...], title: str, subtitle: str) -> Image:
    tiles = [
        Tile(annotated(shot, _TILE_WH, 0.8), shot.name, describe(shot), shot.outcome, shot.quality) for shot in shots
    ]
    return contact_sheet(
        tiles, title=title, subtitle=subtitle, columns=_COLUMNS, tile_width=_TILE_WH[0], picture_height=_TILE_WH[1]
    )
