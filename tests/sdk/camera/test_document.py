"""sdk/docs/door.md: its code runs, and its tables speak of things that exist."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from documents import REPOSITORY, Document, run_python
from films import write_film
from qcface_sdk import FaceEngine, Gallery
from qcface_sdk.camera import CaptureOptions, DoorRules
from qcface_sdk.camera.decider import ADVICE

DOCUMENT = Document.of("sdk/docs/door.md")


@pytest.fixture
def folder(tmp_path: Path, engine: FaceEngine, astronaut: np.ndarray) -> Path:
    with Gallery.open(tmp_path / "people.db", contract=engine.contract) as gallery:
        gallery.enroll("eileen", engine.get(astronaut)[0])
    write_film(tmp_path / "visit.mp4", [np.roll(astronaut, i % 3, axis=1) for i in range(12)])
    return tmp_path


@pytest.mark.parametrize("code", DOCUMENT.code("python"), ids=lambda code: code.splitlines()[0])
def test_code_runs_and_prints_what_it_says(code: str, folder: Path) -> None:
    run_python(code, folder)


def test_words_in_backticks_exist() -> None:
    known = {field.name for kind in (DoorRules, CaptureOptions) for field in dataclasses.fields(kind)}
    for name in ("min_face", "fpir", "fmr", "cooldown", "patience", "pass_seconds", "frozen_seconds", "attempts"):
        assert name in known
        assert f"`{name}" in DOCUMENT.text
    reasons = {reason for reason in ADVICE if f"`{reason}`" in DOCUMENT.text}
    assert reasons == set(ADVICE)


def test_files_it_names_exist() -> None:
    for name in re.findall(r"`(camera/\w+\.py)`", DOCUMENT.text):
        assert (REPOSITORY / "sdk" / "qcface_sdk" / name).is_file(), name
    for name in re.findall(r"`(examples/\w+\.py)`", DOCUMENT.text):
        assert (REPOSITORY / name).is_file(), name
