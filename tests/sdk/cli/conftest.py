"""Run the command line in this process, on the tiny bundle and drawn pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from qcface_sdk.bundle import Bundle
from qcface_sdk.cli import main
from qcface_sdk.engine import FaceEngine
from qcface_sdk.image import read_image
from qcface_sdk.matching import cosine
from tiny_models import tiny_bundle, tiny_files, tiny_manifest, tiny_quality

ANN, BOB = (60, 255, 255), (255, 60, 255)
"""Colours whose embeddings by the tiny recogniser point in different directions."""

_TAKES_MODEL = {"detect", "quality", "verify", "enroll", "identify", "embed", "doctor", "bench", "demo"}


@dataclass(frozen=True)
class Run:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as one JSON document, and nothing else on it."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


Qcface = Callable[..., Run]
Draw = Callable[..., Path]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("cli") / "bundle")


@pytest.fixture(scope="session")
def poor_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a quality scale on which every face is below the gate."""
    folder = tmp_path_factory.mktemp("cli") / "poor"
    files = tiny_files()
    quality = tiny_quality(((0.0, 0.0), (10_000.0, 100.0)))
    Bundle.create(tiny_manifest(files, quality=quality), files).save_folder(folder)
    return folder


@pytest.fixture
def qcface(bundle: Path, capsys: pytest.CaptureFixture[str]) -> Qcface:
    """Run one command; the tiny bundle is its model unless the arguments name another."""

    def run(*words: object) -> Run:
        argv = [str(word) for word in words]
        if argv and argv[0] in _TAKES_MODEL and "--model" not in argv and "--help" not in argv:
            argv += ["--model", str(bundle)]
        code = main(argv)
        captured = capsys.readouterr()
        return Run(code, captured.out, captured.err)

    return run


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write a picture with one blob per colour, which the tiny detector takes for faces of 80 pixels."""

    def write(name: str, *colours: tuple[int, int, int]) -> Path:
        image = np.full((320, 480, 3), 20, np.uint8)
        for number, colour in enumerate(colours):
            image[104:184, 72 + 160 * number : 152 + 160 * number] = colour
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
        return file

    return write


@pytest.fixture
def grey_pair(draw: Draw, bundle: Path) -> tuple[Path, Path]:
    """Two pictures whose similarity is accepted by the tiny bundle at a rate of 1e-4, but not at 1e-5."""
    ann = draw("grey-a.png", ANN)
    with FaceEngine(model=bundle) as engine:
        strict, loose = engine.threshold(1e-5), engine.threshold(1e-4)
        (known,) = engine.get(read_image(ann))
        for step in range(1, 40):
            mixed = tuple(round(a + (b - a) * step / 40) for a, b in zip(ANN, BOB, strict=True))
            picture = draw("grey-b.png", mixed)
            (face,) = engine.get(read_image(picture))
            assert known.embedding is not None
            assert face.embedding is not None
            if loose <= (cosine(known.embedding, face.embedding) or -1.0) < strict:
                return ann, picture
    raise AssertionError("no mixture of the two colours lies between the thresholds")
