from __future__ import annotations

import numpy as np

from qcface_sdk.quality import QualityScale


def test_quality_between_knots_is_linear_and_constant_beyond() -> None:
    scale = QualityScale([(5.0, 10.0), (15.0, 50.0), (25.0, 100.0)])
    assert scale.quality([0.0, 5.0, 10.0, 20.0, 25.0, 99.0]).tolist() == [10.0, 10.0, 30.0, 75.0, 100.0, 100.0]


def test_quality_is_strictly_increasing_between_the_ends() -> None:
    scale = QualityScale([(5.0, 0.0), (15.0, 99.0), (80.0, 100.0)])
    assert (np.diff(scale.quality(np.linspace(5, 80, 500))) > 0).all()
