"""Only an ONNX file that keeps the SDK's contract may enter a bundle."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from qcface_export.model_checks import check_detector, check_onnx, recognizer_embeddings, smoke_inputs
from qcface_sdk.errors import InferenceError, ModelError, ModelFormatError
from tiny_models import tiny_detector, tiny_recognizer

RUNTIME = "onnxruntime"


def edited(model: bytes, *, rename: dict[str, str] | None = None, weights: float | None = None) -> bytes:
    """Rename tensors or fill every weight with one number."""
    proto = onnx.load_from_string(model)
    names = rename or {}
    for node in proto.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*proto.graph.input, *proto.graph.output]:
        value.name = names.get(value.name, value.name)
    if weights is not None:
        for tensor in proto.graph.initializer:
            shape = numpy_helper.to_array(tensor).shape
            tensor.CopyFrom(numpy_helper.from_array(np.full(shape, weights, np.float32), tensor.name))
    return bytes(proto.SerializeToString())


def with_fixed_axis(model: bytes, axis: int, size: int) -> bytes:
    proto = onnx.load_from_string(model)
    dimension = proto.graph.input[0].type.tensor_type.shape.dim[axis]
    dimension.Clear()
    dimension.dim_value = size
    return bytes(proto.SerializeToString())


def batch_mixing_recognizer() -> bytes:
    """Subtracts the mean of the batch, as a batch norm left in training mode does."""
    proto = onnx.load_from_string(edited(tiny_recognizer(), rename={"embedding": "raw"}))
    proto.graph.node.append(helper.make_node("ReduceMean", ["raw"], ["mean"], axes=[0], keepdims=1))
    proto.graph.node.append(helper.make_node("Sub", ["raw", "mean"], ["embedding"]))
    proto.graph.output[0].name = "embedding"
    return bytes(proto.SerializeToString())


def nan_detector() -> bytes:
    proto = onnx.load_from_string(tiny_detector())
    for tensor in proto.graph.initializer:
        if tensor.name == "kps_row":
            tensor.CopyFrom(numpy_helper.from_array(np.full(10, np.nan, np.float32), "kps_row"))
    return bytes(proto.SerializeToString())


def test_smoke_inputs_are_repeatable_and_rise_in_contrast() -> None:
    batch = smoke_inputs()
    assert batch.shape == (8, 3, 112, 112)
    assert np.abs(batch).max() <= 1
    assert (np.diff(batch.std(axis=(1, 2, 3))) > 0).all()
    np.testing.assert_array_equal(batch, smoke_inputs())


def test_recognizer_embeddings_of_a_good_model_are_raw() -> None:
    embeddings = recognizer_embeddings(tiny_recognizer(), RUNTIME)
    assert embeddings.shape == (8, 512)
    assert np.linalg.norm(embeddings, axis=1).std() > 1


@pytest.mark.parametrize("dimension", [128, 512])
def test_recognizer_embeddings_take_their_dimension_from_the_model(dimension: int) -> None:
    assert recognizer_embeddings(tiny_recognizer(dimension=dimension), RUNTIME).shape == (8, dimension)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(tiny_recognizer(normalised=True), "export without the final normalisation", id="normalised"),
        pytest.param(edited(tiny_recognizer(), rename={"input": "data"}), "got data", id="input name"),
        pytest.param(edited(tiny_recognizer(), rename={"embedding": "fc1"}), "got fc1", id="output name"),
        pytest.param(with_fixed_axis(tiny_recognizer(), 0, 1), r"got input \(1, 3, 112, 112\)", id="fixed batch"),
        pytest.param(with_fixed_axis(tiny_recognizer(), 3, 96), r"\(any, 3, 112, 96\)", id="other size"),
        pytest.param(edited(tiny_recognizer(), weights=0.0), "got lengths 0 to 0", id="zero weights"),
        pytest.param(batch_mixing_recognizer(), "export in eval mode", id="batch norm in training mode"),
        pytest.param(tiny_detector(), "recogniser input must be", id="a detector"),
        pytest.param(b"not onnx", "cannot load this model", id="no onnx"),
    ],
)
def test_recognizer_embeddings_of_a_foreign_model_are_refused(model: bytes, message: str) -> None:
    with pytest.raises(ModelFormatError, match=message):
        recognizer_embeddings(model, RUNTIME)


def test_recognizer_embeddings_of_nan_weights_are_refused() -> None:
    with pytest.raises(InferenceError, match="weights are damaged"):
        recognizer_embeddings(edited(tiny_recognizer(), weights=float("nan")), RUNTIME)


def test_check_detector_of_a_good_model_passes() -> None:
    check_detector(tiny_detector(), RUNTIME)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        pytest.param(edited(tiny_detector(), rename={"kps_16": "landmarks"}), "detector outputs must be", id="name"),
        pytest.param(with_fixed_axis(tiny_detector(), 2, 320), "detector input must be", id="fixed height"),
        pytest.param(tiny_recognizer(), "detector input must be", id="a recogniser"),
        pytest.param(nan_detector(), "'kps_8' holds NaN", id="nan"),
    ],
)
def test_check_detector_of_a_foreign_model_is_refused(model: bytes, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_detector(model, RUNTIME)


def test_check_detector_with_two_outputs_swapped_is_refused() -> None:
    swapped = edited(tiny_detector(), rename={"bbox_8": "kps_8", "kps_8": "bbox_8"})
    with pytest.raises(ModelFormatError, match=r"detector output 'kps_8|'bbox_8"):
        check_detector(swapped, RUNTIME)


def test_check_onnx_names_the_producer() -> None:
    assert check_onnx(tiny_recognizer(), "recogniser") == "tests"


@pytest.mark.parametrize("model", [b"", b"hello", tiny_recognizer()[:-50]], ids=["empty", "text", "truncated"])
def test_check_onnx_of_damaged_bytes_says_which(model: bytes) -> None:
    with pytest.raises(ModelFormatError, match="the recogniser is no valid ONNX file"):
        check_onnx(model, "recogniser")


def test_check_onnx_of_a_graph_without_types_is_refused() -> None:
    graph = helper.make_graph([helper.make_node("Conv", ["x"], ["y"])], "bad", [], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    with pytest.raises(ModelFormatError, match="the detector is no valid ONNX file"):
        check_onnx(model.SerializeToString(), "detector")
