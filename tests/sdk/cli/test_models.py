from __future__ import annotations

import io
import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qcface_sdk.bundle import Bundle
from qcface_sdk.measurements import FusedStretch
from tiny_models import tiny_bundle


def test_models_shows_contract_files_and_thresholds(qcface, bundle: Path) -> None:
    run = qcface("models", "inspect", bundle)
    assert run.code == 0
    assert "tiny 0.0.1" in run.out
    assert "qc1-" in run.out
    assert "recognizer.fp32.onnx" in run.out
    assert "0.3900 to 0.4100" in run.out
    assert "made up" in run.out


def test_models_json_holds_the_manifest_as_it_is(qcface, bundle: Path) -> None:
    document = qcface("models", "inspect", bundle, "--json").document
    assert document["manifest"] == json.loads((bundle / "manifest.json").read_text())
    assert document["verified_files"] == ["MODEL_CARD.md", "detector.fp32.onnx", "recognizer.fp32.onnx"]


def test_models_verify_counts_the_files(qcface, bundle: Path) -> None:
    run = qcface("models", "verify", bundle)
    assert run.code == 0
    assert "3 files verified" in run.out


def test_models_verify_of_an_altered_file_names_it(qcface, bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle.qcface"
    assert qcface("models", "pack", bundle, file).code == 0
    assert qcface("models", "unpack", file, tmp_path / "copy").code == 0
    card = tmp_path / "copy" / "MODEL_CARD.md"
    card.write_bytes(card.read_bytes().replace(b"tiny", b"tony"))
    run = qcface("models", "verify", tmp_path / "copy")
    assert run.code == 4
    assert "MODEL_CARD.md" in run.err


def test_models_pack_and_unpack_give_the_same_bundle(qcface, bundle: Path, tmp_path: Path) -> None:
    qcface("models", "pack", bundle, tmp_path / "b.qcface")
    run = qcface("models", "unpack", tmp_path / "b.qcface", tmp_path / "b")
    assert run.out == f"wrote {tmp_path / 'b'}\n"
    for file in bundle.iterdir():
        assert (tmp_path / "b" / file.name).read_bytes() == file.read_bytes()


def test_models_pack_over_a_file_needs_permission(qcface, bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.qcface"
    file.write_bytes(b"mine")
    assert qcface("models", "pack", bundle, file).code == 2
    assert file.read_bytes() == b"mine"
    assert qcface("models", "pack", bundle, file, "--overwrite").code == 0


def test_models_of_the_package_is_shown_without_a_name(qcface) -> None:
    assert "contract    qc1-" in qcface("models").out


def test_models_of_something_else_is_a_model_problem(qcface, tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("notes")
    assert qcface("models", "inspect", other).code == 4


# --- signing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(qcface, tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "maker.pem", tmp_path / "maker.pub.pem"
    assert qcface("models", "keygen", private, public).code == 0
    return private, public


def test_models_keygen_writes_a_secret_for_the_owner_alone_and_never_over_a_key(qcface, keys, tmp_path: Path) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    before = keys[0].read_bytes()
    run = qcface("models", "keygen", keys[0], tmp_path / "other.pem")
    assert run.code == 2
    assert "never overwritten" in run.err
    assert keys[0].read_bytes() == before


@pytest.mark.parametrize("form", ["folder", "file"])
def test_models_sign_then_verify_with_the_key(qcface, keys, bundle: Path, tmp_path: Path, form: str) -> None:
    target = tmp_path / ("signed" if form == "folder" else "signed.qcface")
    assert qcface("models", "sign", bundle, "--key", keys[0], "--output", target).code == 0
    run = qcface("models", "verify", target, "--trusted-key", keys[1])
    assert run.code == 0
    assert "a trusted one" in run.out
    assert "signed by   key" in qcface("models", "inspect", target).out
    # In place, a second time.
    assert qcface("models", "sign", target, "--key", keys[0]).code == 0
    assert qcface("models", "verify", target, "--trusted-key", keys[1]).code == 0


def test_models_sign_takes_the_built_in_bundle_to_another_place(qcface, keys, tmp_path: Path) -> None:
    assert qcface("models", "sign", "--key", keys[0], "--output", tmp_path / "own.qcface").code == 0
    assert qcface("models", "verify", tmp_path / "own.qcface", "--trusted-key", keys[1]).code == 0
    refused = qcface("models", "sign", "--key", keys[0])
    assert (refused.code, "not changed in place" in refused.err) == (2, True)


def test_models_verify_refuses_unsigned_and_foreign(qcface, keys, bundle: Path, tmp_path: Path) -> None:
    run = qcface("models", "verify", bundle, "--trusted-key", keys[1])
    assert run.code == 4
    assert "no manifest.sig" in run.err
    qcface("models", "keygen", tmp_path / "other.pem", tmp_path / "other.pub.pem")
    qcface("models", "sign", bundle, "--key", tmp_path / "other.pem", "--output", tmp_path / "signed")
    run = qcface("models", "verify", tmp_path / "signed", "--trusted-key", keys[1])
    assert run.code == 4
    assert "not trusted" in run.err
    assert qcface("models", "verify", tmp_path / "signed").code == 0


def test_models_sign_with_a_password(qcface, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def type_in(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))

    private, target = tmp_path / "k.pem", tmp_path / "signed"
    type_in("secret\n")
    assert qcface("models", "keygen", private, tmp_path / "k.pub.pem", "--password").code == 0
    assert b"ENCRYPTED" in private.read_bytes()
    type_in("wrong\n")
    assert qcface("models", "sign", bundle, "--key", private, "--password", "--output", target).code == 2
    assert not target.exists()
    type_in("secret\n")
    assert qcface("models", "sign", bundle, "--key", private, "--password", "--output", target).code == 0


def test_models_diff_names_what_changed(qcface, bundle: Path, tmp_path: Path) -> None:
    assert qcface("models", "diff", bundle, bundle).code == 0
    other = tiny_bundle(tmp_path / "other", seed=1)
    run = qcface("models", "diff", bundle, other, "--json")
    assert run.code == 1
    changed = {change["path"] for change in run.document["changes"]}
    assert changed == {
        "embedding.contract",
        "embedding.master_sha256",
        "files.recognizer.fp32.onnx.sha256",
    }
    assert "embedding.contract" in qcface("models", "diff", bundle, other).out


def test_inspect_says_what_is_asked_of_fused_templates(qcface, bundle: Path, tmp_path: Path) -> None:
    assert "no factor for fused templates" in qcface("models", "inspect", bundle).out
    plain = Bundle.load(bundle)
    artifact = plain.manifest.artifacts[0]
    entry = FusedStretch(artifact.id, artifact.runtimes[0], 0.5, 1.1, (1.05, 1.2), 100, 4950, "drawn people")
    Bundle.create(replace(plain.manifest, stretches=(entry,)), dict(plain.files)).save_folder(tmp_path / "grown")
    out = qcface("models", "inspect", tmp_path / "grown").out
    assert f"{entry.at(5):.3f}" in out
    assert "1.200" in out
    assert "measured on: drawn people" in out
