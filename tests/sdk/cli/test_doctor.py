from __future__ import annotations

from pathlib import Path

import pytest

from qcface_sdk import diagnosis
from qcface_sdk.runtime import BackendInfo


def test_doctor_runs_every_backend_present_and_they_agree(qcface) -> None:
    run = qcface("doctor", "--json")
    assert run.code == 0
    assert run.err == ""
    document = run.document
    assert document["default_path"] == {"ok": True, "engine": "onnxruntime fp32", "problem": ""}
    first = document["backends"][0]
    assert first["name"] == "onnxruntime"
    assert first["ran"] is True
    assert first["embed_ms"] > 0
    assert first["detect_ms"] > 0
    for other in document["backends"][1:]:
        if other["ran"]:
            assert other["cosine"] > 0.999
        else:
            assert "pip install" in other["problem"]


def test_doctor_prints_versions_and_the_verdict(qcface) -> None:
    run = qcface("doctor")
    assert run.code == 0
    for word in ("python", "numpy", "onnxruntime", "processor", "kernels use", "cosine"):
        assert word in run.out
    assert run.out.endswith("works\n")


def test_doctor_without_a_model_fails_and_says_why(qcface, tmp_path: Path) -> None:
    run = qcface("doctor", "--model", tmp_path / "nothing", "--json")
    assert run.code == 4
    assert run.document["default_path"]["ok"] is False
    assert "nothing" in run.document["default_path"]["problem"]


def test_doctor_backend_that_is_absent_names_its_package(qcface, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = BackendInfo("openvino", False, None, 'install it with: pip install "qcface-sdk[openvino]"')
    present = BackendInfo("onnxruntime", True, "1", "")
    monkeypatch.setattr(diagnosis, "available_backends", lambda: (present, absent))
    run = qcface("doctor")
    assert run.code == 0
    assert 'pip install "qcface-sdk[openvino]"' in run.out
