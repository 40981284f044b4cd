"""What the SDK's quality measures read on clean and damaged faces, and the scores that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from qcface_sdk.evaluation import KINDS, LADDER_SEED, degrade
from qcface_sdk.quality import MEASURES
from qcface_sdk.quality.measure import Measure
from qcface_sdk.quality.scoring import Scoring
from qcface_sdk.quality.view import FaceView

Crop = NDArray[np.uint8]

_LEVEL = 4
_FROM_CROPS = ("brightness", "exposure", "contrast", "sharpness", "eyes", "mouth")
_CHOSEN: Mapping[str, tuple[tuple[float, float], ...]] = MappingProxyType(
    {
        "face_size": ((16, 0), (40, 50), (112, 100)),
        "cut_off": ((0.6, 0), (0.9, 50), (1.0, 100)),
        "yaw": ((-70, 0), (-35, 50), (0, 100), (35, 50), (70, 0)),
        "pitch": ((-60, 0), (-30, 50), (0, 100), (30, 50), (60, 0)),
        "roll": ((-90, 0), (-40, 50), (0, 100), (40, 50), (90, 0)),
    }
)
_WHY = MappingProxyType(
    {
        "face_size": "chosen: 112 px is what the recogniser takes, 40 px what FaceEngine looks for by default",
        "cut_off": "chosen: a tenth of the box outside takes chin or forehead",
        "yaw": "chosen: a door asks for less than half of profile",
        "pitch": "chosen, as yaw; the head nods less far",
        "roll": "chosen: alignment takes roll out, so only a fallen or lying head is poor",
        "colour": "chosen: channels of infrared and grey cameras differ by coding noise alone",
    }
)
_GREY_BELOW = 4.0


def _over_mouth(crop: Crop) -> Crop:
    covered = crop.copy()
    cv2.fillPoly(covered, [np.array([[22, 68], [56, 60], [90, 68], [84, 111], [28, 111]])], (200, 170, 120))
    return np.asarray(covered, np.uint8)


def _over_eyes(crop: Crop) -> Crop:
    covered = crop.copy()
    for x in (38, 74):
        cv2.ellipse(covered, (x, 52), (16, 11), 0, 0, 360, (25, 25, 25), -1)
    return np.asarray(covered, np.uint8)


COVERINGS: Mapping[str, Callable[[Crop], Crop]] = MappingProxyType({"mask": _over_mouth, "sunglasses": _over_eyes})
"""Drawn coverings of an aligned crop."""


def readings(measure: Measure, crops: Iterator[Crop] | NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what a measure reads on aligned crops; NaN where it cannot."""
    taken = (measure.read(FaceView.of_crop(crop)) for crop in crops)
    return np.array([np.nan if value is None else value for value in taken], np.float64)


def place_scores(crops: NDArray[np.uint8], source: str) -> dict[str, Any]:
    """Return the content of ``scoring.json`` from clean aligned crops (N, 112, 112, 3)."""
    document: dict[str, Any] = {}
    for measure in MEASURES:
        if measure.name in _FROM_CROPS:
            values = readings(measure, crops)
            document[measure.name] = {
                "knots": _knots(values, two_sided=measure.high is not None),
                "origin": f"100 at the median, 50 where 1 % lie beyond: {source}",
            }
        elif measure.name in _CHOSEN:
            document[measure.name] = {"knots": _CHOSEN[measure.name], "origin": _WHY[measure.name]}
        else:
            document[measure.name] = {"knots": (), "note_below": _GREY_BELOW, "origin": _WHY[measure.name]}
    return document


def _knots(values: NDArray[np.float64], *, two_sided: bool) -> list[tuple[float, float]]:
    low, middle, high = (float(value) for value in np.nanpercentile(values, (1, 50, 99)))
    step = 1e-3 * max(1.0, abs(middle))  # knots must rise, also where most readings are equal
    low, high = min(low, middle - step), max(high, middle + step)
    knots = [(low - (middle - low), 0.0), (low, 50.0), (middle, 100.0)]
    if two_sided:
        knots += [(high, 50.0), (high + (high - middle), 0.0)]
    return [(round(place, 4), score) for place, score in knots]


def poor_shares(crops: NDArray[np.uint8], document: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return, for each measure placed by measurement, the share of clean and damaged crops that it calls poor."""
    pictures: dict[str, list[Crop]] = {"clean": list(crops)}
    for kind in KINDS:
        pictures[kind] = [degrade(crop, kind, _LEVEL, seed=LADDER_SEED + row) for row, crop in enumerate(crops)]
    for name, cover in COVERINGS.items():
        pictures[name] = [cover(crop) for crop in crops]
    shares: dict[str, dict[str, float]] = {}
    for measure in MEASURES:
        if measure.name in _FROM_CROPS:
            row = document[measure.name]
            scoring = Scoring(tuple(map(tuple, row["knots"])), None, row["origin"])
            shares[measure.name] = {
                kind: float(np.mean([_is_poor(scoring, measure, value) for value in readings(measure, iter(some))]))
                for kind, some in pictures.items()
            }
    return shares


def _is_poor(scoring: Scoring, measure: Measure, value: float) -> bool:
    return scoring.judge(measure, value).reason is not None
