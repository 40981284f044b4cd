"""The manifest's schema: everything it accepts comes back, everything else is refused by the name of its key."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcface_sdk.errors import ManifestError
from qcface_sdk.manifest import FusedStretch, ImpostorTail, Manifest, Proof, ProofFigure, is_bundle_file_name
from tiny_models import tiny_files, tiny_manifest, tiny_quality

GATE = {"minimum": 10.0, "fnmr": 0.5, "fmr": 1e-4, "origin": "made up"}
TAIL = ImpostorTail(
    "recognizer-fp32", "onnxruntime", 0.4, 1e-3, 0.05, -0.1, ((1e-3, 0.05, -0.1),) * 20, 1_000_000, "made up"
)
PROOF = Proof("recognizer-fp32", "onnxruntime", "fp32", True, {"smallest cosine": ProofFigure(0.9999, 0.99)}, "made up")
VALID = tiny_manifest(tiny_files(), tails=(TAIL,), proofs=(PROOF,))
PLAIN: dict[str, Any] = json.loads(VALID.to_json())


def changed(path: str, value: object) -> bytes:
    """JSON of the valid manifest with the value at a path such as ``artifacts.0.id`` set."""
    plain = copy.deepcopy(PLAIN)
    *parents, last = path.split(".")
    node: Any = plain
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node[key]
    node[int(last) if isinstance(node, list) else last] = value
    return json.dumps(plain).encode()


def paths(node: Any, prefix: str = "") -> list[str]:
    """Every key path of a JSON value, list items left out."""
    if not isinstance(node, dict):
        return []
    return [path for key, value in node.items() for path in (f"{prefix}{key}", *paths(value, f"{prefix}{key}."))]


def test_from_json_of_to_json_is_the_same_manifest() -> None:
    again = Manifest.from_json(VALID.to_json())
    assert again == VALID
    assert again.to_json() == VALID.to_json()


@given(
    name=st.text(min_size=1).filter(lambda text: bool(text.strip())),
    tools=st.dictionaries(st.text(), st.text(), max_size=4),
    magnitudes=st.lists(st.floats(0, 1e6), min_size=2, max_size=6, unique=True),
    retry=st.floats(0, 100),
)
def test_from_json_round_trips_any_text_and_number(
    name: str, tools: dict[str, str], magnitudes: list[float], retry: float
) -> None:
    knots = tuple((magnitude, 100.0 * index / len(magnitudes)) for index, magnitude in enumerate(sorted(magnitudes)))
    manifest = replace(VALID, name=name, tools=tools, quality=tiny_quality(knots, retry, retry))
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_from_json_takes_whole_numbers_for_floats() -> None:
    assert Manifest.from_json(changed("quality.0.probe_gate.minimum", 10)).quality[0].probe_gate.minimum == 10.0


@pytest.mark.parametrize("schema", [0, 1, 3, 99, "2", None, True, 2.0])
def test_from_json_of_another_schema_says_what_to_do(schema: object) -> None:
    wanted = "pip install -U qcface-sdk" if schema in (3, 99) else "pack_bundle.py"
    with pytest.raises(ManifestError, match=wanted):
        Manifest.from_json(changed("schema", schema))


def test_from_json_of_a_newer_schema_with_new_keys_names_the_schema_not_the_key() -> None:
    newer = {**PLAIN, "schema": 3, "signature": "x"}
    with pytest.raises(ManifestError, match="schema 3 is newer"):
        Manifest.from_json(json.dumps(newer).encode())


@pytest.mark.parametrize(
    "path",
    ["", "input.", "embedding.", "quality.0.", "detector.", "artifacts.0.", "thresholds.3.", "tails.0.", "proofs.0."],
)
def test_from_json_with_an_unknown_key_names_its_path(path: str) -> None:
    dotted = path.replace(".0.", "[0].").replace(".3.", "[3].")
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(changed(f"{path}colour", 1))
    assert f"unknown key {dotted}colour;" in str(caught.value)


@pytest.mark.parametrize("path", [path for path in paths(PLAIN) if not path.startswith(("tools.", "files."))])
def test_from_json_without_a_key_names_its_path(path: str) -> None:
    plain = copy.deepcopy(PLAIN)
    *parents, last = path.split(".")
    node = plain
    for key in parents:
        node = node[key]
    del node[last]
    with pytest.raises(ManifestError, match="schema must be 2" if path == "schema" else f"missing key {path}$"):
        Manifest.from_json(json.dumps(plain).encode())


@pytest.mark.parametrize("path", [path for path in paths(PLAIN) if path != "schema" and not path.startswith("files.")])
@pytest.mark.parametrize("value", [None, [1, [2]], {"a": {}}, True], ids=["null", "list", "object", "true"])
def test_from_json_with_a_value_of_another_type_names_its_path(path: str, value: object) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_json(changed(path, value))
    assert path in str(caught.value).replace("[", ".")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("name", " ", "name must not be empty"),
        ("created", "yesterday", "created must be"),
        ("input.color", "GRB", "input.color must be RGB or BGR"),
        ("input.layout", "NHWC", "input.layout must be NCHW"),
        ("input.std", [127.5, 0, 127.5], "input.std must be above 0"),
        ("input.template", "mine", "input.template must be one of arcface-112"),
        ("input.size_wh", [128, 128], "input.size_wh must be"),
        ("input.size_wh", [112], "input.size_wh must be a list of 2, got 1"),
        ("input.size_wh", [112.5, 112], r"input.size_wh\[0\] must be a whole number, got a number 112.5"),
        ("embedding.dimension", 0, "embedding.dimension must be 1"),
        ("embedding.dimension", 256, "embedding.contract must be qc1-"),
        ("embedding.contract", "qc1-" + "0" * 32, "embedding.contract must be qc1-"),
        ("embedding.master_sha256", "0" * 64, "embedding.contract must be qc1-"),
        ("embedding.master_sha256", "X" * 64, "embedding.master_sha256 must be 64"),
        ("embedding.la", 200, "embedding.la and ua must satisfy"),
        ("quality.0.knots", [[0, 0]], r"quality\[0\].knots must be at least 2"),
        ("quality.0.knots", [[0, 0], [0, 1]], r"quality\[0\].knots must rise"),
        ("quality.0.knots", [[0, 9], [1, 1]], r"quality\[0\].knots must not fall"),
        ("quality.0.knots", [[0, 0], [1, 101]], r"quality\[0\].knots must lie"),
        ("quality.0.knots", [[-1, 0], [1, 1]], r"quality\[0\].knots must have magnitudes"),
        ("quality.0.probe_gate.fnmr", float("inf"), "must be finite, got Infinity"),
        ("quality.0.probe_gate.fnmr", 10**400, r"quality\[0\].probe_gate.fnmr must be a finite number"),
        ("quality.0.probe_gate", {**GATE, "minimum": 101}, r"quality\[0\].probe_gate.minimum must be a quality"),
        ("quality.0.probe_gate", {**GATE, "fnmr": 2}, r"quality\[0\].probe_gate.fnmr must lie"),
        ("quality.0.probe_gate", {**GATE, "fmr": 0}, r"quality\[0\].probe_gate.fmr must lie"),
        ("quality.0.probe_gate", {**GATE, "minimum": 30}, r"quality\[0\].enroll_gate must be at least as strict"),
        ("quality.0.fused", [[0, 0]], r"quality\[0\].fused must be at least 2"),
        ("quality.0.fused", [[0, 5], [9, 1]], r"quality\[0\].fused must not fall"),
        ("quality.0.artifact", "none", "quality: no artefact 'none'"),
        ("quality.0.runtime", "openvino", "quality: recognizer-fp32 on openvino stands twice"),
        ("quality", [], "quality: no entry for recognizer-fp32 on onnxruntime"),
        ("tails.0.runtime", "abacus", "tails: no artefact 'recognizer-fp32' for runtime 'abacus'"),
        ("tails.0.start", 1, r"tails\[0\].start must be a similarity"),
        ("tails.0.share", 0, r"tails\[0\].share must lie"),
        ("tails.0.scale", 0, r"tails\[0\].share must lie in 0..1 and scale above 0"),
        ("tails.0.shape", 0.6, r"tails\[0\].shape must lie"),
        ("tails.0.draws", [[0.1, 0.1, 0]] * 19, r"tails\[0\].draws must be at least 20"),
        ("tails.0.draws", [[0.1, 0.1]] * 20, r"tails\[0\].draws\[0\] must be a list of 3"),
        ("tails.0.impostors", 0, r"tails\[0\].impostors must be above 0"),
        ("proofs.0.artifact", "none", "proofs: no artefact 'none'"),
        ("proofs.0.figures", {"x": {"value": 1}}, r"missing key proofs\[0\].figures.x.limit"),
        ("detector.file", "other.onnx", "'other.onnx', named by detector or artifacts, is not listed"),
        ("detector.iou_threshold", 1.0, "detector.thresholds must lie"),
        ("detector.smallest_face", 500, "detector.smallest_face must be above 0"),
        ("artifacts", [], "artifacts must hold at least one"),
        ("artifacts.0.id", "Bad Id", r"artifacts\[0\].id must be"),
        ("artifacts.0.precision", "fp7", r"artifacts\[0\].precision must be"),
        ("artifacts.0.runtimes", [], r"artifacts\[0\].runtimes must be"),
        ("artifacts.0.runtimes", ["onnxruntime", "onnxruntime"], r"artifacts\[0\].runtimes must be"),
        ("artifacts.0.runtimes", ["onnxruntime"], "no artefact 'recognizer-fp32' for runtime 'openvino'"),
        ("thresholds.0.artifact", "none", "thresholds: no artefact 'none'"),
        ("thresholds.0.fmr", 0, r"thresholds\[0\].fmr must lie"),
        ("thresholds.0.fmr", 1e-3, "fmr 0.001 stands twice"),
        ("thresholds.0.threshold", 2, r"thresholds\[0\].threshold must be a similarity"),
        ("thresholds.0.interval", [0.5, 0.6], r"thresholds\[0\].interval must hold"),
        ("thresholds.0.impostors", 0, r"thresholds\[0\].impostors must be above 0"),
        ("thresholds.0.fnmr", 1.5, r"thresholds\[0\].fnmr must lie"),
        ("files", {}, "is not listed"),
    ],
)
def test_from_json_with_a_value_out_of_range_names_it(path: str, value: object, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(changed(path, value))


def test_from_json_with_a_lower_threshold_at_a_stricter_rate_is_refused() -> None:
    loose = {**PLAIN["thresholds"][0], "threshold": 0.35, "interval": [0.1, 0.5]}
    with pytest.raises(ManifestError, match=r"fmr 0.001 must not have a lower threshold than fmr 0.01"):
        Manifest.from_json(changed("thresholds.0", loose))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil.onnx", "no plain file name"),
        ("/etc/passwd", "no plain file name"),
        ("a/b.onnx", "no plain file name"),
        ("a\\b.onnx", "no plain file name"),
        (".hidden", "no plain file name"),
        ("C:evil", "no plain file name"),
        ("weights\n", "no plain file name"),
        ("", "no plain file name"),
        ("x" * 101, "no plain file name"),
        ("manifest.json", "more than case"),
        ("Manifest.JSON", "more than case"),
        ("model_card.md", "more than case"),
    ],
)
def test_from_json_with_a_dangerous_file_name_is_refused(name: str, message: str) -> None:
    record = PLAIN["files"]["MODEL_CARD.md"]
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(changed("files", {**PLAIN["files"], name: record}))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must be JSON"),
        (b"\xff\xfe", "must be JSON in UTF-8"),
        (b"[1]", "must be a JSON object, got a list"),
        (b"null", "must be a JSON object, got null"),
        (b'{"schema": 1, "schema": 2}', "'schema' stands twice"),
        (b'{"schema": NaN}', "finite"),
        (b'{"schema": ' + b"[" * 100_000, "must be JSON"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "must be JSON|schema"),
        (VALID.to_json()[:-100], "must be JSON"),
    ],
    ids=["empty", "not utf-8", "list", "null", "repeated key", "nan", "deep", "huge number", "truncated"],
)
def test_from_json_of_what_is_no_manifest_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        Manifest.from_json(data)


@given(st.binary(max_size=60))
def test_from_json_of_any_bytes_raises_nothing_but_manifest_error(data: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.from_json(data)


def test_manifest_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        VALID.files["x"] = VALID.files["MODEL_CARD.md"]  # type: ignore[index]
    with pytest.raises(AttributeError):
        VALID.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a", "recognizer.fp32.onnx", "MODEL_CARD.md", "9-x_y.z"])
def test_is_bundle_file_name_of_a_plain_name_is_true(name: str) -> None:
    assert is_bundle_file_name(name)


def test_stretches_come_back_and_bundles_from_before_have_none() -> None:
    manifest = tiny_manifest(tiny_files())
    assert manifest.stretches == ()
    assert b"stretches" not in manifest.to_json()
    pair = (manifest.artifacts[0].id, manifest.artifacts[0].runtimes[0])
    entry = FusedStretch(*pair, 0.5, 1.1, (1.05, 1.15), 100, 4950, "drawn")
    grown = replace(manifest, stretches=(entry,))
    assert Manifest.from_json(grown.to_json()) == grown
    for wrong in ((entry, entry), (replace(entry, runtime="elsewhere"),)):
        with pytest.raises(ManifestError, match="stretches: "):
            replace(manifest, stretches=wrong)
