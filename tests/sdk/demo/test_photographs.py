from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from qcface_sdk.demo.photographs import COLLINS, HOPPER, Photograph
from qcface_sdk.errors import BackendUnavailableError

BOTH = pytest.mark.parametrize("photograph", [COLLINS, HOPPER], ids=lambda photograph: photograph.subject)


@BOTH
def test_read_gives_a_picture_that_holds_outline_and_eyes(photographs: None, photograph: Photograph) -> None:
    image = photograph.read()
    height, width = image.shape[:2]
    points = np.array([*photograph.outline, photograph.eyes])
    assert ((points >= 0) & (points < (width, height))).all()
    inside = cv2.pointPolygonTest(np.array(photograph.outline, np.int32), photograph.eyes, False)
    assert inside > 0


def test_locate_imports_neither_package(photographs: None) -> None:
    code = (
        "import sys; from qcface_sdk.demo.photographs import COLLINS, HOPPER; COLLINS.locate(); HOPPER.locate(); "
        "sys.exit(any(name in sys.modules for name in ('skimage', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "changes",
    [{"package": "no_such_package_at_all"}, {"inside": "data/none.png", "package": "numpy"}],
    ids=["package", "file"],
)
def test_locate_what_is_absent_names_the_extra(changes: dict[str, str]) -> None:
    with pytest.raises(BackendUnavailableError, match=r'pip install "qcface-sdk\[demo\]"'):
        replace(COLLINS, **changes).locate()
