"""Small ONNX models and a complete bundle, made on the spot for tests.

They obey the shipped models' contracts (names, shapes, dynamic axes) and mean nothing beyond that: `tiny_recognizer`
has fixed random weights, `tiny_detector` reports a face of `TINY_FACE_SIDE` network pixels at every bright blob.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qcface_sdk.bundle import Bundle, file_records
from qcface_sdk.manifest import (
    Artifact,
    DetectorInfo,
    EmbeddingContract,
    InputContract,
    Manifest,
    QualityGate,
    QualityMap,
    ThresholdRow,
)
from qcface_sdk.measurements import Proof, ProofFigure

TINY_FACE_SIDE = 80.0
"""Side of every box the tiny detector reports, in network-input pixels."""

INT8 = Artifact("recognizer-int8", "recognizer.int8.onnx", "int8", ("onnxruntime",))
FP32 = Artifact("recognizer-fp32", "recognizer.fp32.onnx", "fp32", ("onnxruntime", "openvino"))

_STRIDES = (8, 16, 32)
_LAST_STRIDE = 32
_ARCFACE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


def _constant(name: str, values: object, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype=dtype), name)


def _model_bytes(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: list[onnx.TensorProto],
) -> bytes:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


@functools.cache
def tiny_recognizer(seed: int = 0, *, normalised: bool = False, dimension: int = 512, gain: float = 8.0) -> bytes:
    """Return an ONNX file: `input` (N, 3, 112, 112) float32 to `embedding` (N, `dimension`) float32.

    Odd (no bias, tanh), so a grey crop of value 127.5 has a zero embedding and more contrast means more magnitude.
    `normalised=True` makes the forbidden kind whose rows all have length 1.
    """
    rng = np.random.default_rng(seed)
    conv1 = rng.normal(0.0, 0.3, (8, 3, 5, 5))
    conv2 = rng.normal(0.0, 0.2, (16, 8, 5, 5))
    last = rng.normal(0.0, gain / np.sqrt(dimension), (144, dimension))
    constants = [_constant("conv1", conv1), _constant("conv2", conv2), _constant("last", last)]
    raw = "raw" if normalised else "embedding"
    nodes = [
        helper.make_node("Conv", ["input", "conv1"], ["c1"], strides=[4, 4], pads=[2, 2, 2, 2]),
        helper.make_node("Tanh", ["c1"], ["t1"]),
        helper.make_node("Conv", ["t1", "conv2"], ["c2"], strides=[4, 4], pads=[2, 2, 2, 2]),
        helper.make_node("Tanh", ["c2"], ["t2"]),
        helper.make_node("AveragePool", ["t2"], ["p2"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p2"], ["flat"]),
        helper.make_node("MatMul", ["flat", "last"], [raw]),
    ]
    if normalised:
        nodes.append(helper.make_node("LpNormalization", ["raw"], ["embedding"], axis=1, p=2))
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 112, 112])]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", dimension])]
    return _model_bytes(nodes, inputs, outputs, constants)


def _flat_map(source: str, target: str) -> list[onnx.NodeProto]:
    """Nodes from (1, 1, h, w) to (1, h * w, 1)."""
    return [helper.make_node("Reshape", [source, "cells_shape"], [target])]


def _repeated(scores: str, row: str, target: str) -> list[onnx.NodeProto]:
    """Nodes that copy one constant row to every cell: (1, cells, 1) * 0 + row."""
    return [
        helper.make_node("Mul", [scores, "zero"], [f"{target}_0"]),
        helper.make_node("Add", [f"{target}_0", row], [target]),
    ]


def _peak_nodes() -> list[onnx.NodeProto]:
    """Nodes from `input` to `peak` (1, 1, H/32, W/32): the score of the brightest cell of each blob, else 0."""
    return [
        helper.make_node("ReduceMean", ["input"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["cell"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node(
            "AveragePool", ["cell"], ["wide"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
        ),
        helper.make_node("Add", ["cell", "wide"], ["sum"]),
        helper.make_node("MaxPool", ["sum"], ["top"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("GreaterOrEqual", ["sum", "top"], ["is_top"]),
        helper.make_node("Cast", ["is_top"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["cell", "grey_level"], ["above"]),
        helper.make_node("Mul", ["above", "slope"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["bright"]),
        helper.make_node("Mul", ["bright", "mask"], ["peak"]),
    ]


@functools.cache
def tiny_detector() -> bytes:
    """Return an ONNX file with YuNet's layout that finds bright blobs on a dark ground.

    Only stride 32 fires: a cell of 32 x 32 network pixels whose mean grey value is above 150 and the local maximum gets
    a box of side `TINY_FACE_SIDE` about its centre, with the ArcFace points inside it. Blobs should be about 48 to 96
    network pixels wide.
    """
    side = TINY_FACE_SIDE / _LAST_STRIDE
    points = [(0.5 + (np.array(point) - 55.5) / 112.0 * side).tolist() for point in _ARCFACE_POINTS]
    constants = [
        _constant("grey_level", 150.0),
        _constant("slope", 0.05),
        _constant("zero", 0.0),
        _constant("cells_shape", [1, -1, 1], np.int64),
        _constant("bbox_row", [0.5, 0.5, np.log(side), np.log(side)]),
        _constant("kps_row", np.ravel(points)),
    ]
    nodes = _peak_nodes()
    nodes += _flat_map("peak", "cls_32")
    for stride in _STRIDES:
        if stride != _LAST_STRIDE:
            nodes.append(
                helper.make_node(
                    "AveragePool", ["grey"], [f"map_{stride}"], kernel_shape=[stride] * 2, strides=[stride] * 2
                )
            )
            nodes += _flat_map(f"map_{stride}", f"flat_{stride}")
            nodes.append(helper.make_node("Mul", [f"flat_{stride}", "zero"], [f"cls_{stride}"]))
        nodes.append(helper.make_node("Identity", [f"cls_{stride}"], [f"obj_{stride}"]))
        nodes += _repeated(f"cls_{stride}", "bbox_row", f"bbox_{stride}")
        nodes += _repeated(f"cls_{stride}", "kps_row", f"kps_{stride}")
    widths = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "H", "W"])]
    outputs = [
        helper.make_tensor_value_info(f"{kind}_{stride}", TensorProto.FLOAT, [1, f"cells_{stride}", width])
        for kind, width in widths.items()
        for stride in _STRIDES
    ]
    return _model_bytes(nodes, inputs, outputs, constants)


def tiny_manifest(files: dict[str, bytes], **changes: object) -> Manifest:
    """Return a valid manifest for `files`, which must hold the two ONNX files `tiny_files` names."""
    master = hashlib.sha256(files["recognizer.fp32.onnx"]).hexdigest()
    preparation = InputContract((112, 112), "RGB", (127.5,) * 3, (127.5,) * 3, "NCHW", "arcface-112")
    values: dict[str, object] = {
        "schema": 2,
        "name": "tiny",
        "version": "0.0.1",
        "created": "2026-01-01T00:00:00Z",
        "license": "Apache-2.0",
        "training_data": "none: random weights made by the tests",
        "tools": {"tiny_models": "1"},
        "input": preparation,
        "embedding": EmbeddingContract(512, preparation.contract_id(master, 512), master, 1.0, 100.0),
        "quality": tiny_quality(),
        "detector": DetectorInfo("detector.fp32.onnx", 0.6, 0.3, 40.0, 120.0, "made up"),
        "artifacts": (Artifact("recognizer-fp32", "recognizer.fp32.onnx", "fp32", ("onnxruntime", "openvino")),),
        "thresholds": tiny_thresholds(),
        "tails": (),
        "proofs": (),
        "files": file_records(files),
    }
    return Manifest(**{**values, **changes})  # type: ignore[arg-type]


def tiny_quality(
    knots: tuple[tuple[float, float], ...] = ((0.0, 0.0), (20.0, 50.0), (60.0, 100.0)),
    retry_below: float = 10.0,
    enroll_below: float = 20.0,
) -> tuple[QualityMap, ...]:
    """Return one made-up map and its gates for both CPU backends."""
    probe, enroll = (QualityGate(minimum, 0.9, 1e-4, "made up") for minimum in (retry_below, enroll_below))
    return tuple(
        QualityMap("recognizer-fp32", runtime, knots, "made up", probe, enroll)
        for runtime in ("onnxruntime", "openvino")
    )


def tiny_thresholds() -> tuple[ThresholdRow, ...]:
    """Return made-up rows for both CPU backends at 1e-2 ... 1e-6, the last of each not supported."""
    return tuple(
        ThresholdRow(
            "recognizer-fp32",
            runtime,
            fmr=10.0**-power,
            threshold=power / 10,
            interval=((10 * power - 1) / 100, (10 * power + 1) / 100),
            impostors=1_000_000,
            genuines=1000,
            fnmr=power / 100,
            supported=power < 6,
            origin="made up",
        )
        for runtime in ("onnxruntime", "openvino")
        for power in (2, 3, 4, 5, 6)
    )


def tiny_files() -> dict[str, bytes]:
    """Return the files of the tiny bundle, manifest left out."""
    return {
        "recognizer.fp32.onnx": tiny_recognizer(),
        "detector.fp32.onnx": tiny_detector(),
        "MODEL_CARD.md": b"# tiny\n\nRandom weights, for tests only.\n",
    }


def tiny_bundle(folder: Path, *, seed: int = 0) -> Path:
    """Write a complete, valid bundle to `folder` and return it; another `seed` has another embedding contract.

    Thresholds (both backends): 0.2, 0.3, 0.4, 0.5 at fmr 1e-2, 1e-3, 1e-4, 1e-5; 1e-6 is not supported. Quality runs
    0, 50, 100 at magnitudes 0, 20, 60; the gates are 10 for probes and 20 for enrolment.
    """
    files = {**tiny_files(), "recognizer.fp32.onnx": tiny_recognizer(seed)}
    Bundle.create(tiny_manifest(files), files).save_folder(folder)
    return folder


def tiny_proof(*, passed: bool = True, runtime: str = "onnxruntime") -> Proof:
    """Return a made-up proof of the INT8 file."""
    figures = MappingProxyType({"cosine mean": ProofFigure(0.9995, 0.999)})
    return Proof(INT8.id, runtime, "recognizer-fp32 on onnxruntime", passed, figures, "made up")


def two_file_bundle(folder: Path, *proofs: Proof, int8: Artifact = INT8) -> Path:
    """Write a bundle with an FP32 file and a second one that calls itself INT8, with thresholds of its own."""
    files = {**tiny_files(), int8.file: tiny_recognizer(gain=8.01)}
    quality = dataclasses.replace(tiny_quality()[0], artifact=int8.id, knots=((0.0, 0.0), (50.0, 100.0)))
    rows = [dataclasses.replace(row, artifact=int8.id, threshold=row.threshold + 0.01, interval=(0.0, 1.0))
            for row in tiny_thresholds() if row.runtime == "onnxruntime"]  # fmt: skip
    manifest = tiny_manifest(
        files,
        artifacts=(FP32, int8),
        quality=(*tiny_quality(), *(dataclasses.replace(quality, runtime=name) for name in int8.runtimes)),
        thresholds=(*tiny_thresholds(), *(dataclasses.replace(r, runtime=n) for n in int8.runtimes for r in rows)),
        proofs=proofs,
    )
    Bundle.create(manifest, files).save_folder(folder)
    return folder
