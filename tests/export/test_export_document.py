"""The commands of export/README.md: the proof is run as written, the release has every option it is shown with."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from documents import REPOSITORY, Document, check_script
from qcface_export.proof import read_limits
from qcface_export.quantized_file import EMITTERS
from qcface_export.shippable_pictures import shippable_pictures
from qcface_sdk import Bundle, FaceEngine

DOCUMENT = Document.of("export/README.md")


def test_scripts_know_the_options_they_are_shown_with() -> None:
    # One run of a script is asked of all lines that show it.
    shown: dict[str, str] = {}
    for line in DOCUMENT.scripts:
        script, _, options = line.removeprefix("python ").partition(" ")
        shown[script] = f"{shown.get(script, '')} {options}"
    for script, options in shown.items():
        check_script(f"python {script} {options}")
    assert DOCUMENT.commands == []
    assert DOCUMENT.others == ['pip install ".[export]"']


def test_every_option_in_the_text_is_one_of_a_script() -> None:
    texts = [path.read_text() for path in (REPOSITORY / "export").glob("*.py")]
    options = set(re.findall(r"[` ](--[a-z][a-z0-9-]+)", DOCUMENT.text))
    assert len(options) > 5
    # Some are declared in a loop over their names without the dashes.
    declared = {option for option in options for text in texts if f'"{option}"' in text or f'"{option[2:]}"' in text}
    assert options - declared == set()


@pytest.mark.usefixtures("astronaut_path", "hopper_path")
def test_proof_on_a_folder_of_crops_runs_as_written(tmp_path: Path, engine: FaceEngine) -> None:
    (line,) = (line for line in DOCUMENT.scripts if "prove.py" in line and "--pictures" in line)
    bundle = Bundle.load()
    for artifact in bundle.manifest.artifacts:
        (tmp_path / artifact.file).write_bytes(bundle.read(artifact.file))
    (tmp_path / "crops").mkdir()
    for index, crop in enumerate(shippable_pictures(engine).crops[::3]):
        cv2.imwrite(str(tmp_path / "crops" / f"{index:02d}.png"), crop)
    words = shlex.split(line)
    command = [sys.executable, str(REPOSITORY / words[1]), *words[2:]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    # The order of magnitudes of two people is not that of many: the gate may refuse, but it answers.
    assert done.returncode in (0, 3), done.stderr
    assert "cosine_mean" in done.stdout
    assert (tmp_path / "proof" / "report.html").is_file()
    assert (tmp_path / "proof" / "report.json").is_file()
    assert (tmp_path / "proof" / "proof.json").is_file() == (done.returncode == 0)


def test_what_the_document_says_of_limits_and_files_is_so() -> None:
    limits = read_limits()
    assert limits["ladder_spearman_loss_worst"].least_faces == 200
    assert f"held to a loss of {limits['ladder_spearman_loss_worst'].value:g}" in DOCUMENT.text
    for name in ("cosine_mean", "norm_error_p95", "ladder_spearman_loss", "tar_loss", "edc_area_loss"):
        value = limits[name].value
        shown = (f"{value:g}", f"{100 * value:g} %", f"{100 * value:g} points", f"/ {100 * value:g} /")
        assert any(text in DOCUMENT.text for text in shown), name
    assert {"onnxruntime", "openvino", "tensorrt"} == set(EMITTERS)
    for script in re.findall(r"`(export/\w+\.py)`", DOCUMENT.text):
        assert (REPOSITORY / script).is_file()
