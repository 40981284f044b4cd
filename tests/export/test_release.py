"""A release is refused for what cannot be used, keeps what is done, and packs nothing that failed."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qcface_export import embedders, kept_steps, master_preparation
from qcface_export import release as release_module
from qcface_export.embedders import KeptRecognizer
from qcface_export.emit import emit_trt
from qcface_export.errors import GateError
from qcface_export.layer_choice import CHOICE_FILE, TABLE_FILE, LayerChoice
from qcface_export.master_preparation import equalized_master, rounded_master
from qcface_export.mixed_precision import Search, Step
from qcface_export.proof import Limit, ProofPictures, ProofReport, read_limits
from qcface_export.proof.report import Figure
from qcface_export.quantized_file import QuantizedFile
from qcface_export.range_search import RangeSearch
from qcface_export.release import TARGETS, Release, ReleaseOptions
from qcface_sdk.bundle import Bundle
from qcface_sdk.errors import ModelFormatError
from qcface_train.checkpoint import load_checkpoint, save_checkpoint
from qcface_train.evaluation.lfw import VerificationSet
from scripts import load_script
from small_networks import embed, small_network, small_pictures
from tiny_models import tiny_bundle, tiny_recognizer
from tiny_runs import make_trainer, tiny_recipe, write_recipe


def write_crops(folder: Path, crops: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for index, crop in enumerate(crops):
        cv2.imwrite(str(folder / f"{index:03d}.png"), crop)
    return folder


@pytest.fixture
def master(tmp_path: Path) -> Path:
    path = tmp_path / "master.onnx"
    path.write_bytes(small_network())
    return path


def options(tmp_path: Path, **changes: object) -> ReleaseOptions:
    values = {"calibration": [tmp_path / "crops"], "pairs": tmp_path / "pairs", "work": tmp_path / "work"}
    return ReleaseOptions(**{**values, "pictures": 8, "search_pictures": 4, **changes})  # type: ignore[arg-type]


# --- la and ua ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "kept", "wanted"),
    [
        ("checkpoint", True, (10, 60)),
        ("checkpoint", False, (3, 50)),
        ("weights", True, (10, 60)),
        ("master", True, (3, 50)),
    ],
    ids=["checkpoint", "checkpoint from before they were kept", "weights and recipe", "master"],
)
def test_lengths_are_those_of_the_training_or_else_of_the_bundle_alike(
    repository: Path, tmp_path: Path, source: str, kept: bool, wanted: tuple[float, float]
) -> None:
    recipe = tiny_recipe(loss={"la": 10.0, "ua": 60.0})
    trainer = make_trainer(recipe, tmp_path / "run")
    trainer.save()
    content = load_checkpoint(tmp_path / "run/checkpoint.pt")
    if not kept:
        del content["lengths"]
        save_checkpoint(tmp_path / "run/checkpoint.pt", content)
    like = Bundle.load(tiny_bundle(tmp_path / "tiny"))
    embedding = dataclasses.replace(like.manifest.embedding, la=3.0, ua=50.0)
    Bundle.create(dataclasses.replace(like.manifest, embedding=embedding), like.files).save_folder(tmp_path / "like")
    script = load_script(repository, "release")
    words = {
        "checkpoint": ["--checkpoint", "run/checkpoint.pt"],
        "weights": ["--weights", "run/weights.pt", "--recipe", "recipe.yaml"],
        "master": ["--master", "m.onnx"],
    }[source]
    write_recipe(recipe, tmp_path / "recipe.yaml")
    given = [word if word.startswith("--") else str(tmp_path / word) for word in [*words, "--like", "like"]]
    asked = ["--calibration", "c", "--pairs", "p", "--work", "w", "--output", "o"]
    args = script._parser().parse_args([*given, *asked])
    assert script._lengths(args) == wanted


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_kept_recognizer_runs_the_network_once_and_mends_a_damaged_file(
    master: Path, tmp_path: Path, monkeypatch
) -> None:
    crops = small_pictures(6)
    first = KeptRecognizer(master, tmp_path / "kept", "recognizer-fp32", "onnxruntime")
    wanted = first.embed(crops)
    (kept,) = (tmp_path / "kept").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(embedders.Recognizer, "embed", lambda *_: pytest.fail("ran again"))
        np.testing.assert_array_equal(first.embed(crops), wanted)
    kept.write_bytes(kept.read_bytes()[:100])
    np.testing.assert_array_equal(first.embed(crops), wanted)
    assert first.embed(small_pictures(6, seed=1)).shape == wanted.shape
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_release_calibrates_once_for_the_same_pictures(tmp_path: Path, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    monkeypatch.setattr(release_module, "check_faces", lambda pictures: None)
    said: list[str] = []
    table = Release(small_network(), options(tmp_path), said.append).table()
    monkeypatch.setattr(release_module, "calibrate", lambda *_: pytest.fail("calibrated again"))
    assert Release(small_network(), options(tmp_path), said.append).table() == table
    assert said[:2] == ["calibrating on 10 pictures", "looking for the ranges of activations on 10 pictures"]
    assert said[-1].startswith("ranges of ")
    assert [line for line in said[2:-1] if not line.startswith("ranges: ")] == []


@pytest.mark.parametrize(
    ("module", "name", "value", "anew"),
    [
        (kept_steps, "STEPS_VERSION", 0, ["calibrate", "search"]),
        (release_module, "SMALL_TENSOR", 5, ["search"]),
        (release_module, "STEPS", (0.5, 2.0), ["search"]),
        (release_module, "_RANGE_PICTURES", 5, ["search"]),
    ],
    ids=["version", "small tensors", "steps", "pictures"],
)
def test_release_makes_anew_what_another_version_would_make_otherwise(
    tmp_path: Path, small_table, monkeypatch, module: object, name: str, value: object, anew: list[str]
) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    made: list[str] = []
    monkeypatch.setattr(release_module, "check_faces", lambda pictures: None)
    monkeypatch.setattr(release_module, "calibrate", lambda *_: made.append("calibrate") or small_table)
    found = RangeSearch(small_table, {}, 1.0, 1.0)
    monkeypatch.setattr(release_module, "search_ranges", lambda *_, **__: made.append("search") or found)
    for _ in range(2):
        Release(small_network(), options(tmp_path), lambda text: None).table()
    assert made == ["calibrate", "search"]
    monkeypatch.setattr(module, name, value)
    Release(small_network(), options(tmp_path), lambda text: None).table()
    assert made[2:] == anew


def _in_another_order(faces: VerificationSet) -> VerificationSet:
    return dataclasses.replace(faces, crops=np.ascontiguousarray(faces.crops[::-1]))


def _of_other_people(faces: VerificationSet) -> VerificationSet:
    return dataclasses.replace(faces, subjects=faces.subjects[::-1])


def _with_pairs(faces: VerificationSet) -> VerificationSet:
    return dataclasses.replace(faces, pairs=np.array([[0, 1]]), same=np.array([True]), folds=1)


@pytest.mark.parametrize(
    ("change", "name"),
    [(_in_another_order, "LFW"), (_of_other_people, "LFW"), (_with_pairs, "LFW"), (lambda faces: faces, "ours")],
    ids=["pictures", "people", "pairs", "name"],
)
def test_figures_of_another_labelled_set_are_measured_anew(
    master: Path, tmp_path: Path, monkeypatch, change: Callable[[VerificationSet], VerificationSet], name: str
) -> None:
    write_people(tmp_path / "pairs")
    names: list[str] = []
    stand_in = lambda options, *_: names.append(options.data_name) or {"quality": {}, "count": len(names)}  # noqa: E731
    monkeypatch.setattr(release_module, "measure", stand_in)

    def count(**changes: object) -> int:
        release = Release(small_network(), options(tmp_path, **changes), lambda text: None)
        return int(release.measure(master, "recognizer-fp32", "onnxruntime")["count"])

    assert [count(), count()] == [1, 1]
    read = release_module.read_lfw
    monkeypatch.setattr(release_module, "read_lfw", lambda path: change(read(path)))
    assert count(pairs_name=name) == 2
    assert names == ["LFW", name]


@pytest.mark.parametrize("passes", [True, False])
def test_release_gives_build_trt_its_table_and_the_layers_if_some_pass(
    repository: Path, tmp_path: Path, monkeypatch, passes: bool
) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    monkeypatch.setattr(release_module, "check_faces", lambda pictures: None)
    release = Release(small_network(), options(tmp_path), lambda text: None)
    made = LayerChoice(1, release.table().sha256, 99.999, ("node_b1",), (), (), "tests")

    def choose() -> LayerChoice:
        if passes:
            return made
        raise GateError("16 layers in float still leave cosine_mean at 120 % of its limit")

    monkeypatch.setattr(release, "tensorrt_layers", choose)
    said: list[str] = []
    for_tensorrt = load_script(repository, "release")._for_tensorrt
    files = for_tensorrt(release, said.append, choose=True)
    wanted = {TABLE_FILE: release.table().to_json()}
    assert files == (wanted | {CHOICE_FILE: made.to_json()} if passes else wanted)
    assert ("no layers chosen for TensorRT: 16 layers" in said[0]) != passes
    assert for_tensorrt(release, said.append, choose=False) == wanted


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
def test_release_chooses_layers_of_the_form_for_tensorrt_that_pass_its_gate(tmp_path: Path, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    monkeypatch.setattr(release_module, "check_faces", lambda pictures: None)
    wide = {"cosine_mean": Limit("at_least", 0.9, "drawn patterns", "none")}
    release = Release(small_network(), options(tmp_path, limits=wide, ladder_faces=3, replicates=5), lambda text: None)
    figure = Figure("cosine_mean", 0.95, wide["cosine_mean"])
    report = ProofReport("recognizer-trt-int8-fp32", "openvino", "FP32", "tests", (figure,), {})
    monkeypatch.setattr(release, "_prove", lambda *_: report)
    choice = release.tensorrt_layers()
    assert choice.fits(release.table(), 99.999)
    assert choice.layers == ("node_pool", "node_project")
    assert any("cosine_mean" in line for line in choice.proof)
    (kept,) = (tmp_path / "work").glob("recognizer-trt-int8-fp32-*.onnx")
    assert kept.read_bytes() == emit_trt(small_network(), release.table(), "int8-fp32", nodes_in_float=choice.layers)


def test_release_counts_what_earlier_searches_left_in_float(tmp_path: Path, small_table, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    release = Release(small_network(), options(tmp_path, most_in_float=3), lambda text: None)
    monkeypatch.setattr(release, "table", lambda: small_table)
    failed = Figure("cosine_mean", 0.5, Limit("at_least", 0.9, "drawn patterns", "none"))
    report = ProofReport("recognizer-int8", "onnxruntime", "FP32", "tests", (failed,), {})
    monkeypatch.setattr(release, "_prove", lambda *_: report)
    left = iter(["node_stem", "node_a1"])
    asked: list[tuple[int, tuple[str, ...]]] = []

    def quantize(*_: object, most: int, start: tuple[str, ...], **__: object) -> QuantizedFile:
        asked.append((most, start))
        return QuantizedFile(b"", Search((*start, *([next(left)] if most > 1 else [])), Step("", 0, 1, ""), ()))

    monkeypatch.setattr(release_module, "quantize", quantize)
    with pytest.raises(GateError, match="must not ship"):
        release.run(TARGETS[0])
    last = ("node_pool", "node_project")
    assert asked == [(3, last), (2, (*last, "node_stem")), (1, (*last, "node_stem", "node_a1"))]


def test_release_of_a_network_that_fails_leaves_reports_and_no_bundle(tmp_path: Path, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    write_people(tmp_path / "pairs")
    monkeypatch.setattr(release_module, "check_faces", lambda pictures: None)
    release = Release(
        small_network(), options(tmp_path, most_in_float=0, ladder_faces=3, replicates=5), lambda text: None
    )
    with pytest.raises(GateError, match="layers in float"):
        release.run(TARGETS[0])
    assert not list(tmp_path.rglob("manifest.json"))


def write_people(folder: Path) -> None:
    for index, crop in enumerate(small_pictures(12)):
        person = folder / f"Person_{index // 2}"
        person.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(person / f"{person.name}_{index % 2 + 1:04d}.png"), crop)


# --- what is refused ------------------------------------------------------------------------------------------------


def spoiled(**changes: object) -> bytes:
    proto = onnx.load_from_string(small_network())
    item = next(item for item in proto.graph.initializer if item.name == "b1.bias")
    if "nan" in changes:
        item.CopyFrom(numpy_helper.from_array(np.full(16, np.nan, np.float32), item.name))
    if "side" in changes:
        for axis in (2, 3):
            proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 128
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no ONNX", "cannot load this model"),
        (small_network()[:4000], "cannot load this model"),
        (tiny_recognizer(normalised=True), "export without the final normalisation"),
        (spoiled(nan=True), "weights are damaged"),
        (spoiled(side=128), r"\(any, 3, 112, 112\) of float32"),
    ],
    ids=["no onnx", "cut off", "normalised", "nan", "other size"],
)
@pytest.mark.parametrize("name", ["release", "quantize"])
def test_scripts_refuse_a_bad_master_and_write_nothing(
    repository: Path, tmp_path: Path, capsys, name: str, data: bytes, message: str
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(data)
    arguments = ["--master", str(path), "--calibration", str(tmp_path), "--pairs", str(tmp_path)]
    arguments += ["--output", str(tmp_path / "out"), *(["--work", str(tmp_path / "work")] * (name == "release"))]
    assert load_script(repository, name).main(arguments) == 1
    error = capsys.readouterr().err
    assert __import__("re").search(message, error), error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_quantize_of_an_empty_or_faceless_folder_is_refused(
    repository: Path, tmp_path: Path, master: Path, capsys
) -> None:
    quantize = load_script(repository, "quantize")
    (tmp_path / "empty").mkdir()
    output = tmp_path / "out.onnx"
    common = ["--master", str(master), "--output", str(output), "--pictures", "8", "--search-pictures", "4"]
    common += ["--proof-pictures", "0"]
    assert quantize.main([*common, "--calibration", str(tmp_path / "empty")]) == 1
    assert "no pictures found" in capsys.readouterr().err
    faceless = write_crops(tmp_path / "walls", np.full((12, 112, 112, 3), 90, np.uint8))
    assert quantize.main([*common, "--calibration", str(faceless)]) == 1
    assert "0 of 10 pictures looked at show a face" in capsys.readouterr().err
    assert not output.exists()


def test_quantize_that_the_gate_refuses_says_so_by_its_status(
    repository: Path, tmp_path: Path, master: Path, monkeypatch, capsys
) -> None:
    quantize = load_script(repository, "quantize")
    monkeypatch.setattr(quantize, "check_faces", lambda pictures: None)
    crops = write_crops(tmp_path / "crops", small_pictures(20))
    output = tmp_path / "out.onnx"
    arguments = ["--master", str(master), "--output", str(output), "--pictures", "8", "--search-pictures", "12"]
    arguments += ["--proof-pictures", "10"]
    assert quantize.main([*arguments, "--calibration", str(crops), "--most-in-float", "0"]) == 3
    assert "of its limit" in capsys.readouterr().err
    assert not output.exists()


def test_quantize_proves_on_pictures_that_it_tuned_nothing_on(
    repository: Path, tmp_path: Path, master: Path, small_table, monkeypatch
) -> None:
    script = load_script(repository, "quantize")
    crops = write_crops(tmp_path / "crops", small_pictures(30))
    used: list[np.ndarray] = []
    proved: list[ProofPictures] = []

    def prove(*given: object, **_: object) -> None:
        proved.append(given[2])
        raise GateError("seen enough")

    monkeypatch.setattr(script, "check_faces", lambda pictures: used.append(pictures.crops))
    monkeypatch.setattr(script, "calibrate", lambda *_: small_table)
    found = QuantizedFile(small_network(), Search((), Step("", 0.0, 1.0, ""), ()))
    monkeypatch.setattr(script, "quantize", lambda *given, **_: used.append(given[3]) or found)
    monkeypatch.setattr(script, "prove", prove)
    arguments = ["--master", str(master), "--calibration", str(crops), "--output", str(tmp_path / "out.onnx")]
    arguments += ["--pictures", "12", "--search-pictures", "6", "--proof-pictures", "12", "--no-range-search"]
    assert script.main(arguments) == 3
    tuned = {crop.tobytes() for part in used for crop in part}
    (pictures,) = proved
    assert [len(part) for part in used] == [15, 8]  # a damaged copy of each fourth among them
    assert len(pictures.crops) == 12
    assert {crop.tobytes() for crop in pictures.crops} & tuned == set()
    assert pictures.ladder_faces == read_limits()["ladder_spearman_loss_worst"].least_faces


def test_release_of_weights_without_recipe_asks_for_it(repository: Path, tmp_path: Path, capsys) -> None:
    weights = repository / "train" / "weights" / "edge.pt"
    arguments = ["--weights", str(weights), "--calibration", str(tmp_path), "--pairs", str(tmp_path)]
    arguments += ["--work", str(tmp_path / "work"), "--output", str(tmp_path / "out")]
    assert load_script(repository, "release").main(arguments) == 1
    assert "give --recipe" in capsys.readouterr().err


def test_release_on_too_few_pictures_says_how_many(tmp_path: Path) -> None:
    write_crops(tmp_path / "crops", small_pictures(3))
    with pytest.raises(Exception, match="12 pictures are wanted"):
        Release(small_network(), options(tmp_path), lambda text: None).table()


def test_release_of_a_normalised_master_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="export without the final normalisation"):
        Release(tiny_recognizer(normalised=True), options(tmp_path), lambda text: None)


def test_equalized_master_is_made_once_and_computes_the_same(tmp_path: Path, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    monkeypatch.setattr(master_preparation, "check_faces", lambda pictures: None)
    master, said = small_network(outlier=20.0), []
    made = equalized_master(master, options(tmp_path), said.append)
    assert made != master
    assert len(said) == 1
    assert equalized_master(master, options(tmp_path), said.append) == made
    assert len(said) == 1
    monkeypatch.setattr(kept_steps, "STEPS_VERSION", 0)
    assert equalized_master(master, options(tmp_path), said.append) == made
    assert len(said) == 2
    crops = small_pictures(3, seed=7)
    wanted = embed(master, crops)
    np.testing.assert_allclose(embed(made, crops), wanted, atol=1e-4 * np.abs(wanted).max())


def test_rounded_master_is_made_once_and_embeds_alike(tmp_path: Path, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    monkeypatch.setattr(master_preparation, "check_faces", lambda pictures: None)
    master, said = small_network(), []
    made = rounded_master(master, options(tmp_path), said.append)
    assert said[0].startswith("weights of ")
    assert rounded_master(master, options(tmp_path), said.append) == made
    assert len(said) == 1
    crops = small_pictures(3, seed=7)
    wanted = embed(master, crops)
    np.testing.assert_allclose(embed(made, crops), wanted, atol=0.03 * np.abs(wanted).max())


def test_release_without_the_search_takes_the_ranges_that_were_seen(tmp_path: Path, monkeypatch) -> None:
    write_crops(tmp_path / "crops", small_pictures(12))
    monkeypatch.setattr(release_module, "check_faces", lambda pictures: None)
    said: list[str] = []
    Release(small_network(), options(tmp_path, search_ranges=False), said.append).table()
    assert said == ["calibrating on 10 pictures"]
