"""`export/release.py` from a checkpoint to a bundle that the engine loads, and to nothing where the gate refuses.

The network is trained for a second on drawn faces, so the limits are wide; what they judge is asked of the shipped
network in `proof/test_gate.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from qcface_export.calibration_table import CalibrationTable
from qcface_export.layer_choice import TABLE_FILE
from qcface_export.shippable_pictures import shippable_pictures
from qcface_sdk import Bundle, FaceEngine
from qcface_sdk.errors import ThresholdUnavailableError
from qcface_train.evaluation import comparisons
from scripts import load_script
from tiny_runs import make_trainer, tiny_recipe

pytest.importorskip("openvino", reason="openvino is not installed")

PEOPLE, PICTURES = 40, 4
WIDE = {"cosine_mean": "at_least = 0.9", "tar_loss": "at_most = 0.5", "ladder_fall": "at_least = -1"}

Run = Callable[..., int]


@pytest.fixture(scope="module")
def release(repository: Path) -> ModuleType:
    return load_script(repository, "release")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, engine: FaceEngine) -> Path:
    """A checkpoint of a real run, portraits to calibrate on, and drawn people to judge with."""
    from qcface_train.drawing import draw_faces

    folder = tmp_path_factory.mktemp("sources")
    parts: dict[str, dict[str, object]] = {
        "model": {"widths": (8, 8, 8, 16, 16), "neck": 16},
        "data": {"drawn": 20},
        "loss": {"la": 2.0, "ua": 90.0},
        "run": {"steps": 40, "batch": 24},
    }
    make_trainer(tiny_recipe(**parts), folder / "run").fit(shown=False)
    (folder / "portraits").mkdir()
    for index, crop in enumerate(shippable_pictures(engine).crops):
        cv2.imwrite(str(folder / "portraits" / f"{index:02d}.png"), crop)
    faces = draw_faces(PEOPLE, PICTURES, seed=3)
    for person in range(PEOPLE):
        place = folder / "pairs" / f"Person_{person}"
        place.mkdir(parents=True)
        for count, image in enumerate(faces.images[faces.labels == person], start=1):
            cv2.imwrite(str(place / f"{place.name}_{count:04d}.png"), image[..., ::-1])
    return folder


def write_limits(path: Path, **changes: str) -> Path:
    tables = (f'[{name}]\n{limit}\nreason = "drawn"\nnext_step = "go"\n' for name, limit in (WIDE | changes).items())
    path.write_text("".join(tables))
    return path


@pytest.fixture(scope="module")
def run(release: ModuleType, sources: Path) -> Iterator[Run]:
    """Run the script; what it keeps in its work folder serves the next test too."""

    def call(output: Path, *words: object) -> int:
        given = ["--checkpoint", sources / "run" / "checkpoint.pt", "--calibration", sources / "portraits"]
        given += ["--pairs", sources / "pairs", "--pairs-name", "drawn people", "--work", sources / "work"]
        given += ["--output", output, "--name", "tiny", "--version", "0.0.1", "--no-tensorrt"]
        given += ["--pictures", 24, "--search-pictures", 16, "--ladder-faces", 4, "--replicates", 10]
        return int(release.main([str(word) for word in (*given, *words)]))

    with pytest.MonkeyPatch.context() as patch:
        # Most of the time of so small a release would go into a score that no bundle holds.
        patch.setattr(comparisons, "_FIT_IMPOSTORS", 2000)
        yield call


@pytest.mark.usefixtures("astronaut_path", "hopper_path")
def test_release_makes_a_bundle_that_the_engine_loads_in_every_precision(
    run: Run, sources: Path, tmp_path: Path, astronaut: np.ndarray
) -> None:
    limits = write_limits(tmp_path / "limits.toml")
    assert run(tmp_path / "bundle", "--single-file", tmp_path / "tiny.qcface", "--limits", limits) == 0
    bundle = Bundle.load(tmp_path / "bundle")
    assert Bundle.load(tmp_path / "tiny.qcface").manifest == bundle.manifest
    assert {(proof.artifact, proof.runtime, proof.passed) for proof in bundle.manifest.proofs} == {
        ("recognizer-int8", "onnxruntime", True),
        ("recognizer-int8-openvino", "openvino", True),
    }
    assert set(bundle.manifest.proofs[0].figures) == set(WIDE)
    # The recipe's, and not those of the bundle that texts come from; quality is measured between them.
    assert (bundle.manifest.embedding.la, bundle.manifest.embedding.ua) == (2, 90)
    measured = [json.loads(path.read_text())["magnitude"] for path in (sources / "work").glob("figures*.json")]
    assert {(figures["la"], figures["ua"]) for figures in measured} == {(2, 90)}
    master = bundle.read(bundle.artifact("onnxruntime", "fp32").file)
    CalibrationTable.from_json(bundle.files[TABLE_FILE]).check_model(master)
    found = {}
    for backend, precision in (("onnxruntime", "fp32"), ("onnxruntime", "int8"), ("openvino", "int8")):
        with FaceEngine(tmp_path / "bundle", backend=backend, precision=precision) as engine:
            (face,) = engine.get(astronaut)
            assert (engine.precision, face.embedding.shape) == (precision, (512,))
            assert -1 < engine.threshold(1e-2) < 1
            with pytest.raises(ThresholdUnavailableError):
                engine.threshold(1e-5)  # 12,480 pairs of different people say nothing of it
            found[backend, precision] = face.embedding
    wanted = found["onnxruntime", "fp32"]
    assert all(np.dot(one, wanted) / np.linalg.norm(one) / np.linalg.norm(wanted) > 0.9 for one in found.values())
    assert not np.array_equal(found["onnxruntime", "int8"], wanted)


@pytest.mark.usefixtures("astronaut_path", "hopper_path")
def test_release_that_the_gate_refuses_leaves_the_bundle_as_it_was(
    run: Run, sources: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The search cannot see this figure, so the file is made, and judged, and refused.
    limits = write_limits(tmp_path / "limits.toml", ladder_fall="at_least = 2")
    assert run(tmp_path / "new", "--limits", limits) == 3
    assert "recognizer-int8 on onnxruntime must not ship: ladder_fall" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert "this file must not ship" in (sources / "work" / "proof-recognizer-int8.html").read_text()
    # What an earlier release left is neither touched nor added to.
    before = Bundle.load(None)
    before.save_folder(tmp_path / "old")
    assert run(tmp_path / "old", "--limits", limits) == 3
    assert Bundle.load(tmp_path / "old").files == before.files


@pytest.mark.usefixtures("astronaut_path", "hopper_path")
def test_release_told_to_drop_what_fails_packs_fp32_alone(run: Run, tmp_path: Path) -> None:
    limits = write_limits(tmp_path / "limits.toml", ladder_fall="at_least = 2")
    assert run(tmp_path / "bundle", "--limits", limits, "--drop-failed") == 0
    bundle = Bundle.load(tmp_path / "bundle")
    assert [artifact.precision for artifact in bundle.manifest.artifacts] == ["fp32"]
    assert bundle.manifest.proofs == ()
    with FaceEngine(tmp_path / "bundle") as engine:
        assert engine.precision == "fp32"
