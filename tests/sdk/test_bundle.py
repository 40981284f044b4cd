"""A bundle loads only if every byte is as the manifest says, and comes back whole from every form."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qcface_sdk import bundle as bundle_module
from qcface_sdk.bundle import Bundle, file_records
from qcface_sdk.errors import (
    ManifestError,
    ModelError,
    ModelFormatError,
    ModelHashError,
    ModelNotFoundError,
    OptionError,
    ThresholdUnavailableError,
)
from tiny_models import tiny_bundle, tiny_files, tiny_manifest, tiny_recognizer

ARTIFACT = "recognizer-fp32"
RECOGNIZER = "recognizer.fp32.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_bundle(tmp_path / "bundle")


@pytest.fixture
def no_disk_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def edit_manifest(folder: Path, **changes: object) -> None:
    file = folder / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_load_gives_the_very_bytes_that_were_written(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert dict(bundle.files) == tiny_files()
    assert bundle.read(RECOGNIZER) == tiny_recognizer()
    assert bundle.manifest == tiny_manifest(tiny_files())
    assert bundle.contract == bundle.manifest.embedding.contract
    assert bundle.source == str(folder)


def test_load_after_the_file_changed_on_disk_still_reads_what_was_verified(folder: Path) -> None:
    bundle = Bundle.load(folder)
    (folder / RECOGNIZER).write_bytes(b"evil")
    assert bundle.read(RECOGNIZER) == tiny_recognizer()


def test_bundles_of_other_weights_have_other_contracts(tmp_path: Path) -> None:
    first, second = (Bundle.load(tiny_bundle(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    assert first.contract != second.contract


# --- tampering, one test each ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(tiny_files()))
def test_load_with_a_missing_file_names_it(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelHashError, match=f"'{name}' is missing"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", sorted(tiny_files()))
@pytest.mark.parametrize("kept", [0, 20])
def test_load_with_a_truncated_file_names_it(folder: Path, name: str, kept: int) -> None:
    os.truncate(folder / name, kept)
    with pytest.raises(ModelHashError, match=f"'{name}' is truncated, want .* got {kept}"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", sorted(tiny_files()))
def test_load_with_a_longer_file_names_it(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelHashError, match=f"'{name}' was altered"):
        Bundle.load(folder)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(tiny_recognizer()) - 1), bit=st.integers(0, 7))
def test_load_with_any_bit_flipped_names_the_file(folder: Path, position: int, bit: int) -> None:
    data = bytearray(tiny_recognizer())
    data[position] ^= 1 << bit
    (folder / RECOGNIZER).write_bytes(data)
    with pytest.raises(ModelHashError, match=f"'{RECOGNIZER}' was altered"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["extra.onnx", ".DS_Store", "manifest.json.bak"])
def test_load_with_an_extra_file_names_it(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"x")
    with pytest.raises(ModelHashError, match=f"'{name}' does not belong"):
        Bundle.load(folder)


def test_load_with_a_foreign_onnx_in_place_of_its_own_names_it(folder: Path) -> None:
    (folder / RECOGNIZER).write_bytes(tiny_recognizer(7))
    with pytest.raises(ModelHashError, match=f"'{RECOGNIZER}' was altered"):
        Bundle.load(folder)


def test_load_with_a_foreign_onnx_and_its_hash_is_refused_by_the_contract(folder: Path) -> None:
    """Whoever swaps the master and its hash changes the contract id, so that no old template compares with it."""
    foreign = tiny_recognizer(7)
    (folder / RECOGNIZER).write_bytes(foreign)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][RECOGNIZER] = {"sha256": hashlib.sha256(foreign).hexdigest(), "bytes": len(foreign)}
    manifest["embedding"]["master_sha256"] = manifest["files"][RECOGNIZER]["sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=r"embedding.contract must be qc1-"):
        Bundle.load(folder)


def test_load_with_a_subfolder_is_refused(folder: Path) -> None:
    (folder / "more").mkdir()
    with pytest.raises(ModelHashError, match="more is a folder, link or special file"):
        Bundle.load(folder)


def test_load_with_a_symlink_to_the_right_bytes_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / RECOGNIZER).rename(tmp_path / "elsewhere")
    (folder / RECOGNIZER).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelHashError, match=f"{RECOGNIZER} is a folder, link or special file"):
        Bundle.load(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_load_with_a_named_pipe_is_refused_without_waiting(folder: Path) -> None:
    (folder / RECOGNIZER).unlink()
    os.mkfifo(folder / RECOGNIZER)
    with pytest.raises(ModelHashError, match="special file"):
        Bundle.load(folder)


def test_load_with_too_many_files_stops_early(folder: Path) -> None:
    for index in range(100):
        (folder / f"x{index}").touch()
    with pytest.raises(ModelHashError, match="more than 64 files"):
        Bundle.load(folder)


def test_load_with_an_immense_size_in_the_manifest_reads_nothing(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][RECOGNIZER]["bytes"] = 1 << 40
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelHashError, match="at most 64 files and"):
        Bundle.load(folder)


def test_load_with_an_immense_manifest_is_refused(folder: Path) -> None:
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(5 << 20)
    with pytest.raises(ManifestError, match="must have at most"):
        Bundle.load(folder)


def test_load_without_a_manifest_says_so(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"holds no manifest.json"):
        Bundle.load(folder)


def test_load_with_a_malformed_manifest_names_the_place_and_the_key(folder: Path) -> None:
    edit_manifest(folder, name=3)
    with pytest.raises(ManifestError, match=r"bundle: name must be text, got a whole number 3"):
        Bundle.load(folder)


def test_load_of_an_unknown_schema_names_what_to_upgrade(folder: Path) -> None:
    edit_manifest(folder, schema=7)
    with pytest.raises(ManifestError, match="schema 7 is newer .* pip install -U qcface-sdk"):
        Bundle.load(folder)


# --- places ---------------------------------------------------------------------------------------------------------


def test_load_of_nothing_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="there is no bundle at"):
        Bundle.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        Bundle.load(tmp_path / "none.qcface")


def test_load_of_a_bare_onnx_file_says_what_a_bundle_is(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(tiny_recognizer())
    with pytest.raises(ModelFormatError, match=r"want a folder with manifest.json or a .qcface file"):
        Bundle.load(tmp_path / "model.onnx")


def test_load_without_a_path_takes_the_packaged_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "DEFAULT_BUNDLE", folder)
    assert Bundle.load().contract == Bundle.load(folder).contract


def test_load_without_a_packaged_bundle_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "DEFAULT_BUNDLE", tmp_path / "none")
    with pytest.raises(ModelNotFoundError, match="this installation of qcface-sdk holds no model"):
        Bundle.load()


@pytest.mark.parametrize("function", ["open", "scandir"])
def test_load_of_what_may_not_be_read_is_a_model_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(ModelError, match=r"cannot be read \(Permission denied\); check its permissions"):
        Bundle.load(folder)


# --- what a bundle answers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["auto", "fp32"])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_artifact_that_is_there_is_given(folder: Path, runtime: str, precision: str) -> None:
    assert Bundle.load(folder).artifact(runtime, precision).id == ARTIFACT


@pytest.mark.parametrize(("runtime", "precision"), [("onnxruntime", "int8"), ("tensorrt", "auto")])
def test_artifact_that_is_not_there_lists_those_that_are(folder: Path, runtime: str, precision: str) -> None:
    with pytest.raises(ModelNotFoundError, match="it holds fp32 for onnxruntime, openvino"):
        Bundle.load(folder).artifact(runtime, precision)


def test_artifact_of_an_unknown_precision_is_refused(folder: Path) -> None:
    with pytest.raises(OptionError, match="precision must be one of auto, fp32, fp16, bf16, int8, fp8"):
        Bundle.load(folder).artifact("onnxruntime", "int4")


def test_read_of_an_unknown_file_lists_the_known(folder: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="MODEL_CARD.md, detector.fp32.onnx, recognizer.fp32.onnx"):
        Bundle.load(folder).read("../../etc/passwd")


def test_threshold_of_a_measured_rate_is_its_row(folder: Path) -> None:
    row = Bundle.load(folder).threshold(ARTIFACT, "openvino", 1e-4)
    assert (row.runtime, row.fmr, row.threshold) == ("openvino", 1e-4, 0.4)


def test_threshold_of_a_pair_that_was_not_measured_says_which_was(folder: Path) -> None:
    bundle = Bundle.load(folder)
    with pytest.raises(ThresholdUnavailableError, match="measured: recognizer-fp32 on onnxruntime, recognizer-fp32 on"):
        bundle.threshold(ARTIFACT, "tensorrt", 1e-4)


@pytest.mark.parametrize("fmr", [0, 1, -1e-4, float("nan"), "1e-4", True, None])
def test_threshold_of_what_is_no_rate_is_refused(folder: Path, fmr: float) -> None:
    with pytest.raises(OptionError, match="fmr"):
        Bundle.load(folder).threshold(ARTIFACT, "onnxruntime", fmr)


def test_thresholds_are_sorted_from_the_largest_rate(folder: Path) -> None:
    rows = Bundle.load(folder).thresholds(ARTIFACT, "onnxruntime")
    assert [row.fmr for row in rows] == [1e-2, 1e-3, 1e-4, 1e-5, 1e-6]


def test_repr_is_one_short_line(folder: Path) -> None:
    text = repr(Bundle.load(folder))
    assert text.startswith("Bundle(tiny 0.0.1, qc1-")
    assert len(text) < 300


# --- writing --------------------------------------------------------------------------------------------------------


def test_create_with_files_the_manifest_does_not_list_is_refused() -> None:
    files = tiny_files()
    with pytest.raises(ModelHashError, match="file_records"):
        Bundle.create(tiny_manifest(files), {**files, "more.bin": b""})


@pytest.mark.usefixtures("no_disk_waits")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(card=st.binary(max_size=200), more=st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary()))
def test_pack_and_unpack_of_any_content_give_it_back(tmp_path: Path, card: bytes, more: dict[str, bytes]) -> None:
    files = {**tiny_files(), "MODEL_CARD.md": card, **more}
    original = Bundle.create(tiny_manifest(files), files)
    original.save_folder(tmp_path / "a", overwrite=True)
    Bundle.pack(tmp_path / "a", tmp_path / "b.qcface", overwrite=True)
    Bundle.unpack(tmp_path / "b.qcface", tmp_path / "c", overwrite=True)
    again = Bundle.load(tmp_path / "c")
    assert (again.files, again.manifest, again.manifest_bytes) == (
        original.files,
        original.manifest,
        original.manifest_bytes,
    )


def test_pack_of_equal_bundles_gives_equal_bytes(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    for file in copy.iterdir():
        os.utime(file, (1, 1))
        file.chmod(0o600)
    Bundle.pack(folder, tmp_path / "a.qcface")
    Bundle.pack(copy, tmp_path / "b.qcface")
    assert (tmp_path / "a.qcface").read_bytes() == (tmp_path / "b.qcface").read_bytes()


def test_pack_keeps_the_manifest_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    edit_manifest(folder)  # the same values, in another layout
    raw = (folder / "manifest.json").read_bytes()
    Bundle.pack(folder, tmp_path / "a.qcface")
    assert Bundle.load(tmp_path / "a.qcface").manifest_bytes == raw


def test_pack_of_a_tampered_folder_writes_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / RECOGNIZER).write_bytes(b"evil")
    with pytest.raises(ModelHashError):
        Bundle.pack(folder, tmp_path / "a.qcface")
    assert not (tmp_path / "a.qcface").exists()


@pytest.mark.parametrize("form", ["save_folder", "save_file"])
def test_save_where_something_is_needs_overwrite(folder: Path, tmp_path: Path, form: str) -> None:
    bundle = Bundle.load(folder)
    save = getattr(bundle, form)
    save(tmp_path / "x")
    with pytest.raises(OptionError, match="exists; choose another place or pass overwrite"):
        save(tmp_path / "x")
    save(tmp_path / "x", overwrite=True)
    assert Bundle.load(tmp_path / "x").contract == bundle.contract
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "x"]


@pytest.mark.parametrize("form", ["save_folder", "save_file"])
def test_save_over_a_folder_that_is_no_bundle_is_refused(folder: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    with pytest.raises(OptionError):
        getattr(Bundle.load(folder), form)(tmp_path / "home", overwrite=True)
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("form", ["save_folder", "save_file"])
@pytest.mark.parametrize("before", [False, True], ids=["new", "over an older one"])
def test_save_on_a_full_disk_leaves_what_was_there(
    folder: Path, tmp_path: Path, form: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(folder)
    place = tmp_path / "x"
    if before:
        getattr(Bundle.load(tiny_bundle(tmp_path / "other", seed=3)), form)(place)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left on device"):
        getattr(bundle, form)(place, overwrite=True)
    assert place.exists() == before
    assert not before or Bundle.load(place).contract != bundle.contract
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_save_folder_puts_the_older_one_back_if_the_last_step_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tiny_bundle(tmp_path / "x", seed=3)
    older = Bundle.load(place).contract
    rename = os.rename

    def fail_on_new(source: Path, target: Path) -> None:
        if source.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_on_new)
    with pytest.raises(ModelError, match="Input/output error"):
        Bundle.load(folder).save_folder(place, overwrite=True)
    assert Bundle.load(place).contract == older


def test_file_records_state_hash_and_size() -> None:
    record = file_records({"a": b"abc"})["a"]
    # FIPS 180-2, appendix B.1
    assert record.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert record.bytes == 3


def test_quality_map_of_an_artefact_that_is_not_there_lists_what_is(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert bundle.quality_map("recognizer-fp32", "openvino").runtime == "openvino"
    with pytest.raises(ModelNotFoundError, match="no quality map for recognizer-int8 on onnxruntime; it has recog"):
        bundle.quality_map("recognizer-int8", "onnxruntime")
