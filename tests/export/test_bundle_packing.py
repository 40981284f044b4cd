"""A bundle is packed only of parts that fit, is whole or not there, and loads in the SDK."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcface_export import bundle_packing
from qcface_export.bundle_packing import BundleParts, DerivedFile, make_bundle, write_bundle
from qcface_sdk.bundle import Bundle
from qcface_sdk.errors import BackendUnavailableError, ManifestError, ModelFormatError, OptionError
from qcface_sdk.manifest import Artifact
from tiny_models import tiny_detector, tiny_files, tiny_manifest, tiny_recognizer

PLAIN: dict[str, Any] = json.loads(tiny_manifest(tiny_files()).to_json())
ROWS = [row for row in PLAIN["thresholds"] if row["runtime"] == "onnxruntime"]
MAPS = [entry for entry in PLAIN["quality"] if entry["runtime"] == "onnxruntime"]
DETECTOR_INFO = {key: value for key, value in PLAIN["detector"].items() if key != "file"}
needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


PARTS = BundleParts(
    recognizer=tiny_recognizer(),
    detector=tiny_detector(),
    card=b"# tiny\n",
    thresholds=encoded({"thresholds": ROWS}),
    quality=encoded({"quality": MAPS}),
    detector_info=encoded(DETECTOR_INFO),
    name="tiny",
    version="1.2.3",
    license="Apache-2.0",
    training_data="none",
    tools={"torch": "2.13.0"},
    created="2026-01-02T03:04:05Z",
)


def test_make_bundle_writes_what_it_was_given(tmp_path: Path) -> None:
    write_bundle(make_bundle(PARTS), tmp_path / "out", tmp_path / "out.qcface")
    for place in (tmp_path / "out", tmp_path / "out.qcface"):
        manifest = Bundle.load(place).manifest
        assert (manifest.name, manifest.version, manifest.created) == ("tiny", "1.2.3", "2026-01-02T03:04:05Z")
        assert [row.threshold for row in manifest.thresholds] == [row["threshold"] for row in ROWS]
        assert manifest.artifacts[0].runtimes == ("onnxruntime",)
        assert manifest.embedding.master_sha256 == hashlib.sha256(PARTS.recognizer).hexdigest()
        assert Bundle.load(place).read(manifest.detector.file) == PARTS.detector


@needs_openvino
def test_make_bundle_takes_the_factor_for_fused_templates_along_and_passes_it_on() -> None:
    entry = {"artifact": ROWS[0]["artifact"], "runtime": "onnxruntime", "agreement": 0.5, "limit": 1.1}
    entry |= {"interval": [1.05, 1.15], "people": 100, "comparisons": 4950, "origin": "drawn"}
    measured = encoded({"thresholds": ROWS, "stretches": [entry]})
    manifest = make_bundle(replace(PARTS, thresholds=measured, runtimes=("onnxruntime", "openvino"))).manifest
    own, inherited = manifest.stretches
    assert (own.runtime, own.limit, own.origin) == ("onnxruntime", 1.1, "drawn")
    assert inherited.runtime == "openvino"
    assert inherited.origin.startswith("inherited from onnxruntime")
    assert replace(inherited, runtime=own.runtime, origin=own.origin) == own
    assert make_bundle(PARTS).manifest.stretches == ()


def test_make_bundle_records_its_tools() -> None:
    tools = make_bundle(PARTS).manifest.tools
    assert tools["torch"] == "2.13.0"
    assert tools["numpy"] == np.__version__
    assert tools["recognizer producer"] == "tests"
    assert tools["onnxruntime"] == importlib.import_module("onnxruntime").__version__


def test_make_bundle_takes_further_files_along_under_names_of_their_own(tmp_path: Path) -> None:
    write_bundle(make_bundle(replace(PARTS, further={"calibration.json": b"{}"})), tmp_path / "out")
    assert Bundle.load(tmp_path / "out").read("calibration.json") == b"{}"
    with pytest.raises(ModelFormatError, match=r"got 'MODEL_CARD\.md' twice"):
        make_bundle(replace(PARTS, further={"MODEL_CARD.md": b"# other"}))


INT8 = Artifact("recognizer-int8", "recognizer.int8.onnx", "int8", ("onnxruntime",))
INT8_ROWS = [{**row, "artifact": "recognizer-int8"} for row in ROWS]
INT8_MAPS = [{**PLAIN["quality"][0], "artifact": "recognizer-int8"}]
INT8_PROOF = {
    "artifact": "recognizer-int8",
    "runtime": "onnxruntime",
    "reference": "FP32",
    "passed": True,
    "origin": "tests",
    "figures": {"cosine_mean": {"value": 0.9995, "limit": 0.999}},
}


def with_int8(**changes: object) -> BundleParts:
    values: dict[str, Any] = {
        "derived": (DerivedFile(INT8, tiny_recognizer(1)),),
        "thresholds": encoded({"thresholds": ROWS + INT8_ROWS}),
        "quality": encoded({"quality": PLAIN["quality"][:1] + INT8_MAPS}),
        "proofs": encoded({"proofs": [INT8_PROOF]}),
    }
    return replace(PARTS, **{**values, **changes})


def test_make_bundle_with_a_derived_file_prefers_it_on_its_runtime_and_keeps_the_contract() -> None:
    bundle = make_bundle(with_int8())
    assert bundle.artifact("onnxruntime").id == "recognizer-int8"
    assert bundle.artifact("onnxruntime", "fp32").id == "recognizer-fp32"
    assert bundle.contract == make_bundle(PARTS).contract
    assert bundle.manifest.proofs[0].figures["cosine_mean"].limit == 0.999
    slower = (DerivedFile(INT8, tiny_recognizer(1), preferred=False),)
    assert make_bundle(with_int8(derived=slower)).artifact("onnxruntime").id == "recognizer-fp32"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"proofs": encoded({"proofs": []})}, ModelFormatError, "no passed proof; export/release.py makes"),
        ({"proofs": encoded({"proofs": [{**INT8_PROOF, "passed": False}]})}, ModelFormatError, "no passed proof"),
        ({"thresholds": encoded({"thresholds": ROWS})}, ModelFormatError, "no thresholds of its own"),
        ({"quality": encoded({"quality": PLAIN["quality"][:1]})}, ManifestError, "no entry for recognizer-int8"),
        ({"derived": (DerivedFile(INT8, tiny_recognizer(dimension=64)),)}, ModelFormatError, "of 512 numbers, got 64"),
        ({"derived": (DerivedFile(INT8, b"not a model"),)}, ModelFormatError, "cannot load"),
    ],
)
def test_make_bundle_with_an_unproven_derived_file_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make_bundle(with_int8(**changes))


def test_make_bundle_twice_gives_equal_archives(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_bundle(make_bundle(PARTS), tmp_path / name, tmp_path / f"{name}.qcface")
    assert (tmp_path / "a.qcface").read_bytes() == (tmp_path / "b.qcface").read_bytes()


def test_make_bundle_of_a_rewritten_graph_keeps_the_masters_contract() -> None:
    """Another file made from the same master (here: other weights stand in) compares with the master's templates."""
    master = make_bundle(PARTS)
    digest = hashlib.sha256(PARTS.recognizer).hexdigest()
    derived = make_bundle(replace(PARTS, recognizer=tiny_recognizer(5), master_sha256=digest))
    assert derived.contract == master.contract
    assert make_bundle(replace(PARTS, recognizer=tiny_recognizer(5))).contract != master.contract


@needs_openvino
def test_make_bundle_for_a_second_runtime_inherits_rows_and_says_so() -> None:
    manifest = make_bundle(replace(PARTS, runtimes=("onnxruntime", "openvino"))).manifest
    rows = [row for row in manifest.thresholds if row.runtime == "openvino"]
    assert [row.threshold for row in rows] == [row["threshold"] for row in ROWS]
    assert all(row.origin.startswith("inherited from onnxruntime (smallest cosine ") for row in rows)


@needs_openvino
def test_make_bundle_with_rows_of_its_own_inherits_none() -> None:
    own = encoded({"thresholds": PLAIN["thresholds"]})
    manifest = make_bundle(replace(PARTS, thresholds=own, runtimes=("onnxruntime", "openvino"))).manifest
    assert all("inherited" not in row.origin for row in manifest.thresholds)


def test_make_bundle_with_runtimes_that_disagree_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def embeddings(model: bytes, runtime: str) -> np.ndarray:
        rows = np.random.default_rng(0).normal(size=(8, 512)).astype(np.float32)
        # A runtime that computes in BF16 changes magnitudes by some 1e-3.
        return rows if runtime == "onnxruntime" else rows * np.float32(1.002)

    monkeypatch.setattr(bundle_packing, "recognizer_embeddings", embeddings)
    monkeypatch.setattr(bundle_packing, "check_detector", lambda model, runtime: None)
    monkeypatch.setattr(bundle_packing, "resolve_backend", lambda runtime: runtime)
    with pytest.raises(ModelFormatError, match="openvino must give the embeddings of onnxruntime"):
        make_bundle(replace(PARTS, runtimes=("onnxruntime", "openvino")))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("thresholds", encoded(ROWS), "thresholds must be a JSON object, got a list"),
        ("thresholds", encoded({"thresholds": ROWS, "note": 1}), "unknown key note"),
        ("thresholds", encoded({"thresholds": [{**ROWS[0], "fmr": "x"}]}), r"thresholds\[0\].fmr must be a number"),
        ("thresholds", encoded({"thresholds": [{**ROWS[0], "runtime": "tensorrt"}]}), "no artefact"),
        ("quality", encoded({"quality": [{**MAPS[0], "knots": []}]}), r"quality\[0\].knots must be at least 2"),
        ("detector_info", encoded({}), "missing key detector.iou_threshold"),
        ("detector_info", b"{", "detector must be JSON"),
        ("name", "", "name must not be empty"),
        ("created", "now", "created must be"),
    ],
)
def test_make_bundle_of_a_bad_part_names_the_key(field: str, value: object, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        make_bundle(replace(PARTS, **{field: value}))  # type: ignore[arg-type]


def test_make_bundle_of_a_normalised_recogniser_is_refused() -> None:
    with pytest.raises(ModelFormatError, match="export without the final normalisation"):
        make_bundle(replace(PARTS, recognizer=tiny_recognizer(normalised=True)))


def test_make_bundle_for_an_unknown_runtime_lists_the_known() -> None:
    with pytest.raises(BackendUnavailableError, match="onnxruntime, openvino"):
        make_bundle(replace(PARTS, runtimes=("onnxruntime", "abacus")))


def test_write_bundle_over_an_older_one_needs_overwrite(tmp_path: Path) -> None:
    write_bundle(make_bundle(PARTS), tmp_path / "out")
    newer = make_bundle(replace(PARTS, version="2"))
    with pytest.raises(OptionError, match="exists"):
        write_bundle(newer, tmp_path / "out")
    write_bundle(newer, tmp_path / "out", overwrite=True)
    assert Bundle.load(tmp_path / "out").manifest.version == "2"


# --- the script -----------------------------------------------------------------------------------------------------


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    contents = {
        "recognizer": PARTS.recognizer,
        "detector": PARTS.detector,
        "card": PARTS.card,
        "thresholds": PARTS.thresholds,
        "quality": PARTS.quality,
        "detector-info": PARTS.detector_info,
    }
    arguments = ["--name", "tiny", "--version", "1", "--license-text", "Apache-2.0", "--training-data", "none"]
    for option, data in contents.items():
        (tmp_path / option).write_bytes(data)
        arguments += [f"--{option}", str(tmp_path / option)]
    return [*arguments, "--runtimes", "onnxruntime", "--output", str(tmp_path / "out")]


def run_script(repository: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    script = repository / "export" / "pack_bundle.py"
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)


def test_script_packs_a_folder_and_a_file(repository: Path, tmp_path: Path, arguments: list[str]) -> None:
    extra = ["--single-file", str(tmp_path / "out.qcface"), "--tool", "torch=2.13.0"]
    done = run_script(repository, arguments + extra)
    assert (done.returncode, done.stderr) == (0, "")
    bundle = Bundle.load(tmp_path / "out.qcface")
    assert bundle.contract in done.stdout
    assert bundle.manifest.tools["torch"] == "2.13.0"
    assert Bundle.load(tmp_path / "out").manifest == bundle.manifest


def test_script_with_a_bad_part_writes_nothing(repository: Path, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "recognizer").write_bytes(tiny_recognizer(normalised=True))
    done = run_script(repository, arguments)
    assert done.returncode == 1
    assert "export without the final normalisation" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_script_with_a_missing_file_names_it(repository: Path, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "card").unlink()
    done = run_script(repository, arguments)
    assert done.returncode == 1
    assert str(tmp_path / "card") in done.stderr
