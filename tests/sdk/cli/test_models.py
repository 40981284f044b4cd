from __future__ import annotations

import json
from pathlib import Path


def test_models_shows_contract_files_and_thresholds(qcface, bundle: Path) -> None:
    run = qcface("models", bundle)
    assert run.code == 0
    assert "tiny 0.0.1" in run.out
    assert "qc1-" in run.out
    assert "recognizer.fp32.onnx" in run.out
    assert "0.3900 to 0.4100" in run.out
    assert "made up" in run.out


def test_models_json_holds_the_manifest_as_it_is(qcface, bundle: Path) -> None:
    document = qcface("models", bundle, "--json").document
    assert document["manifest"] == json.loads((bundle / "manifest.json").read_text())
    assert document["verified_files"] == ["MODEL_CARD.md", "detector.fp32.onnx", "recognizer.fp32.onnx"]


def test_models_verify_counts_the_files(qcface, bundle: Path) -> None:
    run = qcface("models", bundle, "--verify")
    assert run.code == 0
    assert "3 files verified" in run.out


def test_models_verify_of_an_altered_file_names_it(qcface, bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle.qcface"
    assert qcface("models", bundle, "--pack", file).code == 0
    assert qcface("models", file, "--unpack", tmp_path / "copy").code == 0
    card = tmp_path / "copy" / "MODEL_CARD.md"
    card.write_bytes(card.read_bytes().replace(b"tiny", b"tony"))
    run = qcface("models", tmp_path / "copy", "--verify")
    assert run.code == 4
    assert "MODEL_CARD.md" in run.err


def test_models_pack_and_unpack_give_the_same_bundle(qcface, bundle: Path, tmp_path: Path) -> None:
    qcface("models", bundle, "--pack", tmp_path / "b.qcface")
    run = qcface("models", tmp_path / "b.qcface", "--unpack", tmp_path / "b")
    assert run.out == f"wrote {tmp_path / 'b'}\n"
    for file in bundle.iterdir():
        assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes()


def test_models_pack_over_a_file_needs_permission(qcface, bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.qcface"
    file.write_bytes(b"mine")
    assert qcface("models", bundle, "--pack", file).code == 2
    assert file.read_bytes() == b"mine"
    assert qcface("models", bundle, "--pack", file, "--overwrite").code == 0


def test_models_of_the_package_is_shown_without_a_name(qcface) -> None:
    assert "contract    qc1-" in qcface("models").out


def test_models_of_something_else_is_a_model_problem(qcface, tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("notes")
    assert qcface("models", other).code == 4
