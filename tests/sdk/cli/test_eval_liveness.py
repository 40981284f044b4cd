from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from liveness_networks import tiny_network


@pytest.fixture
def pictures(tmp_path: Path, draw) -> Path:
    """Living people are bright blobs, attacks too; a grey sheet has no face."""
    for folder, count in (("live", 3), ("print", 2), ("screen", 1)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            shutil.copy(draw(f"{folder}{number}.png", (60, 255, 255)), tmp_path / folder / f"{number}.png")
    cv2.imwrite(str(tmp_path / "print" / "none.png"), np.zeros((320, 480, 3), np.uint8))
    return tmp_path


def test_rates_and_missing_answers(qcface, bundle: Path, pictures: Path) -> None:
    living = tiny_network(pictures / "2.7_living.onnx", (0.0, 2.0, 0.0))
    attacks = (f"print={pictures / 'print'}", f"screen={pictures / 'screen'}")
    words = ["eval", "liveness", "--network", living, "--live", pictures / "live", "--model", bundle]
    run = qcface(*words, "--attack", attacks[0], "--attack", attacks[1], "--apcer", "0.1", "--json")
    assert run.code == 0, run.err
    found = run.document
    # The network calls everything living: nobody living is refused, and every attack passes.
    assert found["bpcer"]["errors"] == 0
    assert [(a["name"], a["presentations"], a["answered"], a["rate"]) for a in found["apcer"]] == [
        ("print", 3, 2, 1.0),
        ("screen", 1, 1, 1.0),
    ]
    assert found["apcer"][0]["non_response_rate"] == pytest.approx(1 / 3)
    assert found["at_apcer"]["bpcer"]["rate"] == 1.0
    table = qcface(*words, "--attack", attacks[0])
    assert "APCER, print" in table.out
    assert "worst species: print" in table.out


def test_bad_input_is_refused(qcface, bundle: Path, pictures: Path) -> None:
    network = tiny_network(pictures / "2.7_a.onnx")
    words = ["eval", "liveness", "--live", pictures / "live", "--model", bundle]
    assert qcface(*words, "--network", network, "--attack", "prints").code == 2
    assert qcface(*words, "--network", pictures / "2.7_none.onnx", "--attack", f"print={pictures / 'print'}").code != 0
    (pictures / "print" / "broken.png").write_bytes(b"no picture")
    assert qcface(*words, "--network", network, "--attack", f"print={pictures / 'print'}").code == 2
