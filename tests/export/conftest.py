from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from qcface_export.calibration import calibrate
from qcface_export.calibration_table import CalibrationTable
from qcface_export.pictures import PictureSet
from small_networks import small_network, small_pictures


@pytest.fixture(scope="session")
def small_set() -> PictureSet:
    """24 drawn patterns to calibrate on."""
    return PictureSet(tuple(f"pattern {i}" for i in range(24)), small_pictures(24))


@pytest.fixture(scope="session")
def small_table(small_set: PictureSet) -> CalibrationTable:
    """Of `small_network()`."""
    return calibrate(small_network(), small_set)
