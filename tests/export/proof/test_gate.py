"""The gate passes what is equal and fails everything that spoils the quality, on the network that ships."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from qcface_export.calibration import calibrate
from qcface_export.embedders import FileEmbedder
from qcface_export.emit import emit_cpu_int8
from qcface_export.errors import GateError
from qcface_export.onnx_graph import Graph
from qcface_export.pictures import PictureSet
from qcface_export.proof import Limit, ProofPictures, prove, read_limits, render_proof
from qcface_export.proof.report import proofs_json
from qcface_sdk import Bundle, FaceEngine

COUNT = 16


@pytest.fixture(scope="module")
def pictures(astronaut: np.ndarray, hopper: np.ndarray, engine: FaceEngine) -> PictureSet:
    """Two public-domain portraits, moved, turned and lit a little."""
    rng = np.random.default_rng(11)
    crops = []
    for index in range(COUNT):
        image = (astronaut, hopper)[index % 2]
        kps = engine.detect(image)[0].kps + rng.normal(0, 2.5, (5, 2)).astype(np.float32)
        crop = np.asarray(engine.align(image, kps)).reshape(112, 112, 3).astype(np.float32)
        crops.append(np.clip(crop * rng.uniform(0.35, 1.2) + rng.uniform(-20, 20), 0, 255).astype(np.uint8))
    return PictureSet(tuple(f"portrait {i}" for i in range(COUNT)), np.stack(crops))


@pytest.fixture(scope="module")
def shown(pictures: PictureSet) -> ProofPictures:
    return ProofPictures("portraits", pictures.crops, None, ladder_faces=2)


@pytest.fixture(scope="module")
def master() -> bytes:
    bundle = Bundle.load()
    return bundle.read(bundle.artifact("onnxruntime", "fp32").file)


@pytest.fixture(scope="module")
def reference(master: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """The FP32 network; each set of crops is embedded once for all tests."""
    embedder, known = FileEmbedder(master, "onnxruntime"), {}

    def embed(crops: np.ndarray) -> np.ndarray:
        key = crops.tobytes()
        if key not in known:
            known[key] = embedder(crops)
        return known[key]

    return embed


def failures(report) -> set[str]:
    assert not report.passed
    with pytest.raises(GateError, match="must not ship"):
        report.check()
    with pytest.raises(GateError):
        report.to_proof()
    return {figure.name for figure in report.failures}


def test_prove_the_reference_itself_passes(reference, shown: ProofPictures) -> None:
    report = prove(reference, reference, shown)
    assert report.passed, report.lines()
    proof = report.to_proof()
    assert proof.passed
    assert proof.figures["cosine_mean"].limit == 0.999
    entries = json.loads(proofs_json([report]))["proofs"]
    assert entries[0]["figures"]["norm_error_p95"] == {"value": 0.0, "limit": 0.01}


def test_prove_a_percentile_of_99_fails_by_its_norms(master: bytes, pictures, reference, shown) -> None:
    table = calibrate(master, pictures, percentiles=(99.0,))
    clipped = FileEmbedder(emit_cpu_int8(master, table, percentile=99.0), "onnxruntime")
    found = failures(prove(reference, clipped, shown))
    assert {"norm_bias", "norm_error_p95"} <= found


def test_prove_swapped_colours_fail(reference, shown) -> None:
    report = prove(reference, lambda crops: reference(np.ascontiguousarray(crops[..., ::-1])), shown)
    assert "cosine_mean" in failures(report)


def test_prove_a_clipped_tail_fails_though_directions_stay(reference, shown) -> None:
    def clipped(crops: np.ndarray) -> np.ndarray:
        rows = reference(crops)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / lengths * np.minimum(lengths, np.median(np.linalg.norm(reference(shown.crops), axis=1)))

    found = failures(prove(reference, clipped, shown))
    assert {"magnitude_spread", "norm_error_p95"} <= found
    assert "cosine_min" not in found


def test_prove_shuffled_magnitudes_fail_though_directions_stay(reference, shown) -> None:
    def shuffled(crops: np.ndarray) -> np.ndarray:
        rows = reference(crops)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / lengths * np.random.default_rng(0).permutation(lengths)

    found = failures(prove(reference, shuffled, shown))
    assert {"magnitude_spearman", "order_flips", "ladder_spearman_loss"} <= found
    assert not {"cosine_mean", "cosine_min"} & found


def test_prove_judges_a_figure_from_its_least_number_of_faces_on(reference, shown) -> None:
    noisy = Limit("at_most", -1.0, "never kept", "none", least_faces=3)
    wide = {"cosine_mean": Limit("at_least", 0.9, "wide", "none")}
    report = prove(reference, reference, shown, {"ladder_spearman_loss_worst": noisy, **wide})
    assert [figure.name for figure in report.figures] == ["cosine_mean"]
    assert report.details["ladder"]["jpeg"]["standard_error"] == 0
    enough = dataclasses.replace(noisy, least_faces=2)
    assert failures(prove(reference, reference, shown, {"ladder_spearman_loss_worst": enough, **wide})) == {
        "ladder_spearman_loss_worst"
    }
    # A proof of nothing is none.
    with pytest.raises(GateError, match="none of the limits can be judged on portraits"):
        prove(reference, reference, shown, {"ladder_spearman_loss_worst": noisy})


def test_every_figure_that_is_measured_has_a_limit(reference, shown) -> None:
    crops, people = np.tile(shown.crops, (6, 1, 1, 1)), np.tile(np.arange(COUNT), 6)
    labelled = dataclasses.replace(shown, crops=crops, subjects=people)
    report = prove(reference, reference, labelled, replicates=2)
    assert {figure.name for figure in report.figures} == set(read_limits()) - {"ladder_spearman_loss_worst"}


def test_prove_an_outlier_channel_on_one_scale_for_all_fails(master: bytes, pictures, reference, shown) -> None:
    stretched = stretch_channel(master, 300.0)
    table = calibrate(stretched, pictures)
    per_tensor = FileEmbedder(emit_cpu_int8(stretched, table, percentile=100.0, per_channel=False), "onnxruntime")
    per_channel = FileEmbedder(emit_cpu_int8(stretched, table, percentile=100.0), "onnxruntime")
    found = prove(reference, per_tensor, shown)
    assert "cosine_mean" in failures(found)
    values = {figure.name: figure.value for figure in found.figures}
    better = {figure.name: figure.value for figure in prove(reference, per_channel, shown).figures}
    assert better["cosine_mean"] > values["cosine_mean"]


def stretch_channel(model: bytes, factor: float) -> bytes:
    """Multiply one output channel of a layer and divide what reads it: the same function, an outlier in its weights."""
    graph = Graph(model)
    first = next(
        node
        for node in graph.weighted_nodes()
        if len(graph.readers(node.output[0])) == 1
        and graph.readers(node.output[0])[0].op_type == "Relu"
        and [reader.op_type for reader in graph.readers(graph.readers(node.output[0])[0].output[0])] == ["Conv"]
    )
    second = graph.readers(graph.readers(first.output[0])[0].output[0])[0]
    changes = {
        first.input[1]: (slice(0, 1), factor),
        first.input[2]: (slice(0, 1), factor),
        second.input[1]: ((slice(None), slice(0, 1)), 1 / factor),
    }
    proto = onnx.load_from_string(model)
    for item in proto.graph.initializer:
        if item.name in changes:
            values = np.array(numpy_helper.to_array(item))
            where, by = changes[item.name]
            values[where] *= by
            item.CopyFrom(numpy_helper.from_array(values, item.name))
    return proto.SerializeToString()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda rows: rows * np.nan, "gives NaN, infinity or zero vectors"),
        (lambda rows: rows * 0, "gives NaN, infinity or zero vectors"),
        (lambda rows: rows[:-1], "must give one embedding for each of 16 pictures"),
        (lambda rows: rows[:, :-1], "embeddings of one size"),
    ],
)
def test_prove_what_is_no_embedding_is_refused(reference, shown, spoil, message: str) -> None:
    with pytest.raises(GateError, match=message):
        prove(reference, lambda crops: spoil(reference(crops)), shown)


def test_prove_on_too_few_pictures_is_refused(reference, shown) -> None:
    with pytest.raises(GateError, match="at least 10 pictures, got 3"):
        prove(reference, reference, ProofPictures("few", shown.crops[:3]))


def test_report_of_a_failure_names_figure_limit_and_next_step(reference, shown) -> None:
    report = prove(reference, lambda crops: reference(crops) * np.float32(1.02), shown, artifact="recognizer-int8")
    text = "\n".join(report.lines())
    assert "FAIL norm_bias 0.02 (limit within +- 0.005)" in text
    assert "next: calibrate with more pictures" in text
    assert json.loads(report.to_json())["figures"]["norm_bias"]["passed"] is False
    page = render_proof(report)
    assert "this file must not ship" in page
    assert "calibrate with more pictures" in page
    assert "<script" not in page
    assert "http" not in page
