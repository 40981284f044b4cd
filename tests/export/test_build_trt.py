"""`export/build_trt.py`: files and messages without a GPU, engines and the bundle on the fake one."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType, ModuleType

import cv2
import numpy as np
import onnx
import pytest

from fake_tensorrt import fake_environment
from qcface_export.bundle_packing import INPUT
from qcface_export.calibration import calibrate
from qcface_export.calibration_table import CalibrationTable
from qcface_export.emit import emit_openvino_int8, emit_trt
from qcface_export.errors import CalibrationError, GateError
from qcface_export.layer_choice import CHOICE_FILE, TABLE_FILE, LayerChoice
from qcface_export.mixed_precision import Search, Step
from qcface_export.pictures import PictureSet
from qcface_export.proof import ProofPictures, read_limits
from qcface_export.shippable_pictures import shippable_pictures
from qcface_export.tensorrt import Request, typed_files
from qcface_sdk import selection
from qcface_sdk.bundle import Bundle, file_records
from qcface_sdk.engine import FaceEngine
from qcface_sdk.errors import DeviceUnavailableError
from qcface_sdk.measurements import Proof, ProofFigure
from qcface_sdk.runtime import trt_open
from qcface_sdk.runtime.engine_store import read_engine
from qcface_sdk.runtime.trt_open import TrtEnvironment
from scripts import load_script
from small_networks import small_network
from tiny_models import INT8, two_file_bundle

Build = Callable[..., int]


@pytest.fixture(scope="module")
def script(repository: Path) -> ModuleType:
    return load_script(repository, "build_trt")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose INT8 file for OpenVINO was proved."""
    figures = MappingProxyType({"cosine_mean": ProofFigure(0.9995, 0.999)})
    proof = Proof(INT8.id, "openvino", "recognizer-fp32 on onnxruntime", True, figures, "made up")
    int8 = dataclasses.replace(INT8, runtimes=("openvino",))
    return two_file_bundle(tmp_path / "source", proof, int8=int8)


@pytest.fixture
def build(
    script: ModuleType, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> Build:
    """Run the script in `tmp_path` on the tiny bundle, with drawn pictures instead of portraits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QCFACE_CACHE", str(tmp_path / "cache"))
    coarse = rng.integers(0, 256, (12, 14, 14, 3), dtype=np.uint8)
    crops = coarse.repeat(8, axis=1).repeat(8, axis=2)
    drawn = ProofPictures("drawn", crops, None, ladder_faces=1)
    given = typed_files.proof_pictures
    for module in (typed_files, script):
        monkeypatch.setattr(module, "proof_pictures", lambda request: given(request) if request.pairs else drawn)
    # The tiny network has random weights; its magnitude says nothing of quality, so that figure is left out.
    real = typed_files.proof_limits
    kept = ("cosine", "norm", "magnitude_spread")
    few = lambda request: {name: one for name, one in real(request).items() if name.startswith(kept)}  # noqa: E731
    for module in (typed_files, sys.modules["qcface_export.tensorrt.engines"]):
        monkeypatch.setattr(module, "proof_limits", few)

    def run(*words: str) -> int:
        return int(script.main([*words, "--model", str(bundle)]))

    return run


@pytest.fixture
def gpu(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> TrtEnvironment:
    here = fake_environment()
    for module in (script, trt_open):
        monkeypatch.setattr(module, "trt_environment", lambda: here)
    monkeypatch.setattr(selection, "check_backend", lambda name: None)
    monkeypatch.setattr("qcface_sdk.runtime.check_backend", lambda name: None)
    return here


@pytest.fixture
def latencies(monkeypatch: pytest.MonkeyPatch) -> Callable[[float, float], None]:
    """Let INT8 and FP16 take these milliseconds."""

    def pretend(int8: float, fp16: float) -> None:
        times = iter((int8, fp16))
        monkeypatch.setattr("qcface_export.tensorrt.engines.latency_ms", lambda runner: next(times))

    return pretend


# --- without a GPU --------------------------------------------------------------------------------------------------


@pytest.fixture
def no_gpu(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise DeviceUnavailableError("no NVIDIA driver is installed")

    monkeypatch.setattr(script, "trt_environment", missing)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_the_files_are_made_and_proved_and_the_rest_is_named(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build("--int8") == 4
    out = capsys.readouterr().out
    written = sorted(path.name for path in (tmp_path / "qcface-trt").iterdir())
    assert written == [
        "recognizer-trt-int8-fp32-on-cpu.html",
        "recognizer-trt-int8-fp32-on-cpu.json",
        "recognizer.trt.fp16.onnx",
        "recognizer.trt.int8-fp32.onnx",
        "recognizer.trt.int8.onnx",
    ]
    for name in written[2:]:
        onnx.checker.check_model(onnx.load(tmp_path / "qcface-trt" / name))
    assert "taking the INT8 file of the bundle" in out
    assert ": passed" in out
    assert "no engine was built: no NVIDIA driver is installed" in out
    assert "INT8 proved on the CPU" in out
    assert out.index("no engine can be built here") < out.index("taking the INT8 file"), "told before the work"
    assert f"python export/build_trt.py --int8 --model {tmp_path / 'source'}\n" in out
    for name in written:
        assert (name in out) == (not name.endswith(".json"))


@pytest.mark.usefixtures("no_gpu")
def test_the_command_for_the_target_repeats_what_was_asked_and_adds_what_was_found_here(
    build: Build,
    script: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = CalibrationTable.of(b"", "0" * 64, 1, INPUT, {})
    made = typed_files.TypedFiles({"int8": b"a file"}, table, ("one", "two"), None, as_shipped=False)
    monkeypatch.setattr(script, "make_typed_files", lambda request: made)
    monkeypatch.setattr(script, "parse_with_rtx", lambda files, request: [])
    assert build("--int8", "--max-batch", "4", "--output", "at door") == 4
    out = capsys.readouterr().out
    assert "--int8 --max-batch 4 --output 'at door'" in out
    assert "--table 'at door/calibration.json' --exclude-nodes one two" in out
    assert f"copy {tmp_path / 'at door' / 'calibration.json'} there" in out
    assert "TensorRT-RTX, which is not installed" in out


@pytest.mark.usefixtures("no_gpu")
def test_rtx_parses_and_builds_every_file_where_it_is_installed(
    build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx-cu12 is not installed")
    assert build("--int8", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "nothing was built, as asked" in out
    assert "left to do" not in out
    for precision in ("int8", "int8-fp32", "fp16"):
        assert f"parsed and built {precision}:" in out


@pytest.mark.usefixtures("no_gpu")
def test_a_file_that_fails_its_proof_is_status_3_with_the_next_step(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text('[cosine_mean]\nat_least = 1.5\nreason = "never"\nnext_step = "give up"\n')
    assert build("--int8", "--limits", str(limits)) == 3
    assert "must not ship: cosine_mean" in capsys.readouterr().err


@pytest.mark.usefixtures("no_gpu")
def test_int8_that_cannot_pass_leaves_the_fp16_file_alone_and_says_what_can_be_done(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text('[cosine_mean]\nat_least = 1.5\nreason = "never"\nnext_step = "give up"\n')
    output = tmp_path / "qcface-trt"
    output.mkdir()
    (output / "recognizer.trt.int8.onnx").write_bytes(b"of a run before")
    assert build("--int8", "--limits", str(limits)) == 3
    assert [path.name for path in output.glob("*.onnx")] == ["recognizer.trt.fp16.onnx"]
    out = capsys.readouterr().out
    assert "recognizer.trt.fp16.onnx" in out
    assert "--calibration FOLDER" in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--int8", "--min-batch", "9", "--max-batch", "4"), 1),
        (("--int8", "--table", "no/such.json"), 1),
        (("--int8", "--calibration", "no/such/folder"), 1),
        (("--int8", "--pairs", "no/such/folder"), 1),
        (("--fp16", "--timing-cache", "."), 1),
    ],
)
def test_what_cannot_be_used_is_status_1_and_one_line(
    build: Build, gpu: TrtEnvironment, words: tuple[str, ...], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(*words) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_calibration_on_pictures_of_no_face_is_refused(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "walls").mkdir()
    for index in range(10):
        cv2.imwrite(str(tmp_path / "walls" / f"{index}.png"), np.full((112, 112, 3), 20 * index, np.uint8))
    assert build("--int8", "--dry-run", "--calibration", str(tmp_path / "walls")) == 1
    assert "only 0 of 10 pictures looked at show a face" in capsys.readouterr().err
    assert not list((tmp_path / "qcface-trt").glob("*.onnx"))


def test_a_table_of_another_model_is_refused(build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.json"
    table.write_bytes(CalibrationTable.of(b"another model", "0" * 64, 1, INPUT, {}).to_json())
    assert build("--int8", "--table", str(table)) == 1
    assert "the table is of model" in capsys.readouterr().err


def test_the_script_runs_from_any_folder_and_survives_a_missing_driver(repository: Path, tmp_path: Path) -> None:
    """In a process of its own: TensorRT without a driver would end it."""
    bundle = two_file_bundle(tmp_path / "source")
    script = repository / "export" / "build_trt.py"
    command = [sys.executable, str(script), "--fp16", "--model", str(bundle), "--output", "out"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 4, done.stderr
    assert "no engine was built: " in done.stdout
    assert (tmp_path / "out" / "recognizer.trt.fp16.onnx").is_file()


# --- with a GPU -----------------------------------------------------------------------------------------------------


def test_engines_are_built_proved_and_installed_for_the_sdk(
    build: Build,
    gpu: TrtEnvironment,
    latencies: Callable[[float, float], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    latencies(1.0, 1.5)
    assert build("--int8", "--timing-cache", "tactics") == 0
    out = capsys.readouterr().out
    assert "one face on Fake GPU: int8 1.000 ms, fp16 1.500 ms" in out
    assert (tmp_path / "tactics").read_bytes() == b"measured"
    engine, info = read_engine(tmp_path / "qcface-trt" / "engine-int8")
    assert info.engine_bytes == len(engine)
    assert dict(info.latency_ms) == {"int8": 1.0, "fp16": 1.5}
    assert info.norm_statistics["pictures"] == 12
    assert dict(info.layer_precisions) == {"fp32": 1}
    made = Bundle.load(tmp_path / "qcface-trt" / "bundle")
    assert info.contract == made.contract
    assert [a.id for a in made.manifest.artifacts][-2:] == ["recognizer-trt-int8", "recognizer-trt-fp16"]
    assert [(p.artifact, p.passed) for p in made.manifest.proofs if p.runtime == "tensorrt"] == [
        ("recognizer-trt-int8", True),
        ("recognizer-trt-fp16", True),
    ]
    row = made.threshold("recognizer-trt-int8", "tensorrt", 1e-4)
    assert row.threshold == made.threshold("recognizer-fp32", "onnxruntime", 1e-4).threshold
    assert row.origin.startswith("inherited from recognizer-fp32 on onnxruntime")
    builds = gpu.tensorrt.builds
    assert builds == 3  # INT8, FP16, detector
    with FaceEngine(tmp_path / "qcface-trt" / "bundle", backend="tensorrt") as face_engine:
        assert (face_engine.backend, face_engine.precision) == ("tensorrt", "int8")
        assert face_engine.threshold(1e-4) == row.threshold
    assert gpu.tensorrt.builds == builds


def test_an_int8_engine_slower_than_fp16_is_not_installed_unless_insisted(
    build: Build,
    gpu: TrtEnvironment,
    latencies: Callable[[float, float], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    latencies(2.0, 1.5)
    assert build("--int8") == 5
    assert "int8 must not be slower than FP16, got 2.000 ms and 1.500 ms" in capsys.readouterr().err
    assert not (tmp_path / "qcface-trt" / "bundle").exists()
    assert not (tmp_path / "cache").exists()
    latencies(2.0, 1.5)
    assert build("--int8", "--allow-slower") == 0
    with FaceEngine(tmp_path / "qcface-trt" / "bundle", backend="tensorrt") as engine:
        assert engine.precision == "fp16"  # the fastest comes first


def test_an_engine_is_judged_at_the_thresholds_of_the_people_that_are_given(
    build: Build,
    script: ModuleType,
    gpu: TrtEnvironment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    rng: np.random.Generator,
) -> None:
    """Drawn people lie much nearer to each other than those whose thresholds the bundle holds."""
    for person in range(40):
        (tmp_path / "people" / f"P_{person}").mkdir(parents=True)
        base = rng.integers(0, 256, (14, 14, 3)).repeat(8, axis=0).repeat(8, axis=1)
        for count in (1, 2):
            crop = np.clip(base + rng.normal(0, 40, base.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "people" / f"P_{person}" / f"P_{person}_{count:04d}.png"), crop)
    judged = {name: read_limits()[name] for name in ("threshold_shift", "fmr_factor", "cross_fmr_factor")}
    for module in (typed_files, sys.modules["qcface_export.tensorrt.engines"]):
        monkeypatch.setattr(module, "proof_limits", lambda request: judged)
    given = typed_files.proof_pictures
    for module in (typed_files, script):
        few = lambda request: dataclasses.replace(given(request), ladder_faces=1)  # noqa: E731
        monkeypatch.setattr(module, "proof_pictures", few)
    monkeypatch.setattr(script, "parse_with_rtx", lambda files, request: [])
    assert build("--int8", "--pairs", "people", "--allow-slower") == 0
    # The INT8 file of the bundle is FP32 times 8.01 / 8: all directions are the same.
    for name in ("recognizer-trt-int8-fp32-on-cpu", "recognizer-trt-int8", "recognizer-trt-fp16"):
        report = json.loads((tmp_path / "qcface-trt" / f"{name}.json").read_bytes())
        assert report["figures"]["threshold_shift"]["value"] == pytest.approx(0, abs=1e-3), name
        assert report["details"]["rates"][0]["threshold"] != pytest.approx(0.2, abs=0.02)  # the bundle's at FMR 1e-2


def test_an_engine_that_computes_something_else_is_not_installed(
    build: Build, gpu: TrtEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.tensorrt.scale = 1.1
    assert build("--fp16") == 3
    assert "recognizer-trt-fp16 on tensorrt must not ship: norm_bias" in capsys.readouterr().err
    assert not (tmp_path / "qcface-trt" / "bundle").exists()
    assert not (tmp_path / "cache").exists()


def test_a_build_that_fails_leaves_no_engine(
    build: Build, gpu: TrtEnvironment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu.tensorrt.build_fails = True
    assert build("--fp16") == 1
    assert "cannot build the engine: no tactic fits the workspace" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


def test_options_reach_the_engine_and_its_sidecar(build: Build, gpu: TrtEnvironment, tmp_path: Path) -> None:
    assert build("--fp32", "--version-compatible", "--level", "5", "--max-batch", "4", "--workspace", "64") == 0
    _, info = read_engine(tmp_path / "qcface-trt" / "engine-fp32")
    assert dict(info.options) == {"version compatible": "True", "level": "5"}
    assert info.profiles[0].maximum[0] == 4
    with FaceEngine(tmp_path / "qcface-trt" / "bundle", backend="tensorrt", precision="fp32") as engine:
        assert engine.embed(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, 512)
    assert gpu.tensorrt.builds == 2  # the stored engine serves the SDK's own shapes


# --- pictures -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("astronaut_path", "hopper_path")
def test_the_shippable_pictures_are_48_different_crops(engine: FaceEngine) -> None:
    pictures = shippable_pictures(engine)
    assert pictures.crops.shape == (48, 112, 112, 3)
    assert len({crop.tobytes() for crop in pictures.crops}) == 48
    assert pictures.sha256 == shippable_pictures(engine).sha256
    sizes = np.linalg.norm(engine.embed(pictures.crops), axis=1)
    assert (engine.quality(sizes) > engine.retry_below).all()


@pytest.mark.parametrize("change", [None, "other percentile", "other model", "damaged choice"])
def test_table_and_layers_of_the_bundle_are_used_where_they_fit(
    change: str | None, engine: FaceEngine, tmp_path: Path, rng: np.random.Generator
) -> None:
    master = engine.bundle.read(engine.bundle.artifact("onnxruntime", "fp32").file)
    crops = rng.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    table = calibrate(master, PictureSet(("a", "b"), crops))
    choice = LayerChoice(1, table.sha256, 99.999, ("node_conv2d_1",), (), (), "tests").to_json()
    files = {
        **engine.bundle.files,
        TABLE_FILE: (dataclasses.replace(table, model_sha256="0" * 64) if change == "other model" else table).to_json(),
        CHOICE_FILE: choice[:-9] if change == "damaged choice" else choice,
    }
    bundle = Bundle.create(dataclasses.replace(engine.bundle.manifest, files=file_records(files)), files)
    said: list[str] = []
    request = Request(bundle, tmp_path, percentile=100 if change == "other percentile" else 99.999, say=said.append)
    assert typed_files._shipped_table(request) == (None if change == "other model" else table)
    assert typed_files._shipped_choice(request, table) == (
        ("node_conv2d_1",) if change in (None, "other model") else None
    )
    assert len(said) == 1 + (change == "other model")


def test_another_percentile_with_a_searched_table_is_refused_and_keeps_the_layers_of_the_release(
    bundle: Path, tmp_path: Path, small_table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {name: max(-seen.minimum, seen.maximum) for name, seen in small_table.tensors.items()}
    ranges = {
        name: dataclasses.replace(seen, percentiles=dict.fromkeys(seen.percentiles, ends[name]))
        for name, seen in small_table.tensors.items()
    }
    searched = small_table.with_ranges(ranges)
    assert searched.is_searched
    assert not small_table.is_searched
    monkeypatch.setattr(Request, "master", small_network())
    for table, percentile, refused in ((searched, 100, True), (searched, 99.999, False), (small_table, 100, False)):
        (tmp_path / "table.json").write_bytes(table.to_json())
        request = Request(Bundle.load(bundle), tmp_path, table=tmp_path / "table.json", percentile=percentile)
        if refused:
            with pytest.raises(CalibrationError, match="would change nothing.* --calibration FOLDER"):
                typed_files._table(request)
        else:
            assert typed_files._table(request) == table
    assert LayerChoice(1, searched.sha256, 99.99, ("node_b1",), (), (), "tests").fits(searched, 99.999)


@pytest.mark.parametrize("suffices", [True, False])
def test_search_counts_the_layers_that_the_release_chose(
    suffices: bool, bundle: Path, tmp_path: Path, small_table: CalibrationTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    def search(*_: object, **options: object) -> Search:
        asked.update(options)
        if not suffices:
            raise GateError("16 layers in float still leave cosine_mean at 120 % of its limit")
        return Search((*options["start"], "node_b1"), Step("", 0.0, 1.0, ""), ())

    drawn = ProofPictures("drawn", np.zeros((10, 112, 112, 3), np.uint8))
    monkeypatch.setattr(typed_files, "proof_pictures", lambda request: drawn)
    monkeypatch.setattr(typed_files, "_embed", lambda *_: np.ones((10, 4), np.float32))
    monkeypatch.setattr(typed_files, "search_layers", search)
    monkeypatch.setattr(Request, "master", small_network())
    request = Request(Bundle.load(bundle), tmp_path)
    found = typed_files._search(request, small_table, ("node_stem", "node_project"))
    assert asked["start"] == ("node_pool", "node_project", "node_stem")
    assert asked["most"] == 15
    assert found == ((*asked["start"], "node_b1") if suffices else ("node_stem", "node_project"))


@pytest.mark.parametrize("precision", ["int8-fp32", "openvino"])
def test_an_int8_file_is_taken_if_tensorrt_reads_it_and_else_its_layers_in_float(
    precision: str, engine: FaceEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, rng: np.random.Generator
) -> None:
    master = engine.bundle.read(engine.bundle.artifact("onnxruntime", "fp32").file)
    crops = rng.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    table = calibrate(master, PictureSet(("a", "b"), crops))
    layers = [node.name for node in onnx.load_from_string(master).graph.node if node.op_type == "Conv"][3:5]
    if precision == "openvino":
        shipped = emit_openvino_int8(master, table, nodes_in_float=layers)
    else:
        shipped = emit_trt(master, table, precision, nodes_in_float=layers)
    monkeypatch.setattr(typed_files, "_shipped_int8", lambda request: shipped)
    request = Request(engine.bundle, tmp_path)
    assert (typed_files._shipped_twin(request) is not None) == (precision == "int8-fp32")
    assert typed_files._shipped_in_float(request) == tuple(layers)
