from __future__ import annotations

import cv2
import numpy as np
import pytest

from qcface_sdk.quality import MEASURES
from qcface_sdk.quality.scoring import load_scoring
from qcface_train.evaluation.measures import COVERINGS, place_scores, poor_shares, readings


@pytest.fixture
def crops(rng: np.random.Generator) -> np.ndarray:
    """Drawn faces: two eyes and a mouth on skin, with noise for texture."""
    made = []
    for _ in range(40):
        crop = np.full((112, 112, 3), rng.integers(90, 190), np.uint8)
        crop[..., 2] = np.clip(crop[..., 2].astype(int) + 40, 0, 255)
        for x in (38, 74):
            cv2.circle(crop, (x, 52), int(rng.integers(4, 8)), (30, 30, 30), -1)
        cv2.ellipse(crop, (56, 92), (16, int(rng.integers(3, 7))), 0, 0, 360, (40, 40, 160), -1)
        made.append(np.clip(crop + rng.normal(0, 4, crop.shape), 0, 255).astype(np.uint8))
    return np.stack(made)


def test_median_scores_best_and_one_percent_is_poor(crops: np.ndarray) -> None:
    document = place_scores(crops, "drawn faces")
    assert set(document) == {measure.name for measure in MEASURES}
    values = readings(next(measure for measure in MEASURES if measure.name == "sharpness"), crops)
    knots = dict(document["sharpness"]["knots"])
    assert knots[round(float(np.median(values)), 4)] == 100
    for name, row in document.items():
        places = [place for place, _ in row["knots"]]
        assert places == sorted(set(places)), name


def test_damage_and_coverings_are_called_poor(crops: np.ndarray) -> None:
    shares = poor_shares(crops[:20], place_scores(crops, "drawn faces"))
    assert set(COVERINGS) <= set(shares["mouth"])
    assert shares["sharpness"]["blur"] == 1
    assert shares["mouth"]["mask"] == 1
    assert shares["mouth"]["clean"] <= 0.15


def test_shipped_scoring_says_where_it_comes_from() -> None:
    for name, scoring in load_scoring(tuple(measure.name for measure in MEASURES)).items():
        assert scoring.origin.startswith(("100 at the median", "chosen")), name
