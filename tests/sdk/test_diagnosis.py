from __future__ import annotations

import json
from pathlib import Path

import pytest

from qcface_sdk import diagnosis
from qcface_sdk.diagnosis import diagnose
from qcface_sdk.errors import InferenceError
from tiny_models import tiny_bundle, tiny_proof, two_file_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("diagnosis") / "bundle")


def test_diagnose_a_sound_bundle_is_ok(bundle: Path) -> None:
    found = diagnose(bundle)
    assert found.ok
    assert found.problem == ""
    assert found.model.startswith("tiny 0.0.1, contract qc1-")
    assert found.simd
    assert json.loads(json.dumps(found.to_dict()))["default_path"]["ok"] is True


def test_diagnose_a_tampered_bundle_is_a_result_not_an_error(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "detector.fp32.onnx").write_bytes(b"not what it was")
    found = diagnose(copy)
    assert not found.ok
    assert "detector.fp32.onnx" in found.problem
    assert not any(backend.ran for backend in found.backends)


def test_diagnose_a_backend_that_fails_says_why_and_the_others_run(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = diagnosis.FaceEngine

    class Failing(real):  # type: ignore[misc, valid-type]
        def embed(self, crops: object) -> object:
            if self.backend == "openvino":
                raise InferenceError("no such instruction")
            return super().embed(crops)

    monkeypatch.setattr(diagnosis, "FaceEngine", Failing)
    found = {backend.name: backend for backend in diagnose(bundle).backends}
    assert found["onnxruntime"].ran
    assert not found["openvino"].ran
    assert found["openvino"].problem


def test_diagnose_measures_the_files_auto_chooses_from(tmp_path: Path) -> None:
    found = diagnose(two_file_bundle(tmp_path / "bundle", tiny_proof()))
    assert [(speed.backend, speed.artifact, speed.precision) for speed in found.speeds] == [
        ("onnxruntime", "recognizer-fp32", "fp32"),
        ("onnxruntime", "recognizer-int8", "int8"),
    ]
    assert json.loads(json.dumps(found.to_dict()))["speeds"][0]["ms"] > 0
