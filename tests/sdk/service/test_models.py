"""What a service loads for its doors: the model with its own thresholds, and galleries that the rates still fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qcface_sdk import FaceEngine, Gallery, Template
from qcface_sdk.errors import CalibrationError, ThresholdUnavailableError
from qcface_sdk.service import load_config
from qcface_sdk.service.building import make_engine
from qcface_sdk.service.config import EngineConfig
from qcface_sdk.service.models import Models

DOOR = """\
[engine]
backend = "onnxruntime"
precision = "fp32"
calibration = "site.json"
[gallery.people]
path = "people.db"
[[door]]
name = "front"
source = "film.avi"
[door.rules]
fpir = 2.5e-5
"""

FOREIGN = "qc1-" + 32 * "0"


@pytest.fixture
def site(tmp_path: Path) -> float:
    """Write a calibration that asks for more than the bundle does; return its threshold at 1e-4."""
    with FaceEngine(backend="onnxruntime", precision="fp32") as engine:
        shipped = engine.calibration
    stricter = tuple(replace(row, threshold=row.interval[1]) for row in shipped.thresholds)
    replace(shipped, thresholds=stricter).save(tmp_path / "site.json")
    replace(shipped, contract=FOREIGN).save(tmp_path / "foreign.json")
    return next(row.threshold for row in stricter if row.fmr == 1e-4)


def test_doors_decide_by_the_calibration_that_is_named(tmp_path: Path, site: float) -> None:
    config = EngineConfig(backend="onnxruntime", precision="fp32")
    with make_engine(replace(config, calibration=tmp_path / "site.json")) as engine:
        assert engine.threshold(1e-4) == site
    with make_engine(config) as engine:
        assert engine.threshold(1e-4) < site
    for name in ("foreign.json", "absent.json"):
        with pytest.raises(CalibrationError, match=name if name == "absent.json" else FOREIGN):
            make_engine(replace(config, calibration=tmp_path / name))


@pytest.mark.usefixtures("site")
def test_gallery_with_more_templates_than_the_rate_bears_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "door.toml").write_text(DOOR)
    config = load_config(tmp_path / "door.toml")
    with FaceEngine(backend="onnxruntime", precision="fp32") as engine:
        people = [Template.from_embeddings(row, engine.contract) for row in rng.normal(size=(3, 1, 512)) * 4]
        with Gallery.open(tmp_path / "people.db", engine=engine) as gallery:
            for number, person in enumerate(people[:2]):
                gallery.enroll(f"person {number}", person, force=True)
            assert gallery.size == 2
        Models.load(config).close()
        with Gallery.open(tmp_path / "people.db", engine=engine) as gallery:
            gallery.enroll("one too many", people[2], force=True)
    with pytest.raises(ThresholdUnavailableError):
        Models.load(config)
