"""Equalisation keeps what the network computes, evens its channels out, and takes the cost of a loud one away."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from qcface_export.calibration import calibrate, infer_tensors
from qcface_export.embedders import FileEmbedder
from qcface_export.emit import emit_cpu_int8
from qcface_export.equalization import equalize, find_groups
from qcface_export.errors import CalibrationError, ExportError
from qcface_export.onnx_graph import Graph
from qcface_export.pictures import PictureSet
from small_networks import embed, small_network, small_pictures


def loss_in_8_bits(model: bytes, pictures: PictureSet) -> float:
    """Return the mean of 1 - cosine between the network and its INT8 file."""
    table = calibrate(model, pictures)
    rows = []
    for data in (model, emit_cpu_int8(model, table)):
        embedder = FileEmbedder(data, "onnxruntime")
        rows.append(embedder(pictures.crops))
        embedder.close()
    unit = [row / np.linalg.norm(row, axis=1, keepdims=True) for row in rows]
    return float(1 - (unit[0] * unit[1]).sum(1).mean())


@pytest.mark.parametrize("activation", ["Relu", "PRelu"])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_embeddings_stay(activation, strength, small_set):
    model = small_network(activation=activation, outlier=20.0)
    done = equalize(model, small_set, strength=strength)
    crops = small_pictures(6, seed=5)
    before, after = embed(model, crops), embed(done.model, crops)
    np.testing.assert_allclose(after, before, atol=1e-4 * np.abs(before).max())
    assert (done.model == Graph(model).proto.SerializeToString(deterministic=True)) == (strength == 0)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), outlier=st.floats(0.02, 50))
def test_any_network_of_these_layers_keeps_its_function(seed, outlier):
    pictures = PictureSet(("a", "b", "c"), small_pictures(3, seed))
    assert equalize(small_network(seed, outlier=outlier), pictures).largest_difference < 1e-3


def test_residual_sums_share_their_factors_and_each_layer_is_found_once():
    graph = Graph(small_network())
    groups = find_groups(graph)
    made = [sorted(node.name for node in group.makers) for group in groups]
    assert ["node_a2", "node_stem"] in made
    assert ["node_b2", "node_b_shortcut"] in made
    readers = sorted(node.name for group in groups for node in group.readers)
    assert readers == sorted(node.name for node in graph.weighted_nodes() if node.name != "node_stem")


def test_channels_become_alike(small_set):
    model = small_network(outlier=20.0)
    done = equalize(model, small_set, strength=1.0)
    for data, alike in ((model, False), (done.model, True)):
        sizes = np.zeros(8)
        for values in infer_tensors(data, small_set, ["a1_act"]):
            sizes = np.maximum(sizes, np.abs(values["a1_act"]).max(axis=(0, 2, 3)))
        heard = sizes[sizes > 0]
        assert (heard.max() / heard.min() < 1.001) == alike


def test_a_loud_channel_costs_less_in_8_bits(small_set):
    model = small_network(outlier=30.0)
    before, after = loss_in_8_bits(model, small_set), loss_in_8_bits(equalize(model, small_set).model, small_set)
    assert after < before / 2


def test_batch_norm_takes_factors(small_set):
    """An IResNet keeps batch norms in front of its convolutions."""
    model = with_batch_norm(small_network(outlier=20.0))
    done = equalize(model, small_set, strength=1.0)
    crops = small_pictures(4, seed=2)
    before = embed(model, crops)
    np.testing.assert_allclose(embed(done.model, crops), before, atol=1e-4 * np.abs(before).max())
    kinds = {node.op_type for group in find_groups(Graph(model)) for node in (*group.makers, *group.readers)}
    assert "BatchNormalization" in kinds


def with_batch_norm(model: bytes) -> bytes:
    """Put a batch norm between stem and a1."""
    proto = onnx.load_from_string(model)
    rng = np.random.default_rng(3)
    values = {
        "scale": rng.uniform(0.5, 2, 8),
        "shift": rng.normal(0, 0.1, 8),
        "mean": rng.normal(0, 0.1, 8),
        "var": rng.uniform(0.5, 2, 8),
    }
    proto.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()
    )
    place = next(i for i, node in enumerate(proto.graph.node) if node.name == "node_a1")
    proto.graph.node[place].input[0] = "normed"
    proto.graph.node.insert(
        place,
        helper.make_node(
            "BatchNormalization", ["stem_act", "scale", "shift", "mean", "var"], ["normed"], name="node_norm"
        ),
    )
    return proto.SerializeToString()


def test_tensors_that_anything_else_touches_stay(small_set):
    proto = onnx.load_from_string(small_network())
    place = next(i for i, node in enumerate(proto.graph.node) if node.name == "node_a2")
    proto.graph.node[place].input[0] = "bent"
    proto.graph.node.insert(place, helper.make_node("Sigmoid", ["a1_act"], ["bent"], name="node_bent"))
    groups = find_groups(Graph(proto.SerializeToString()))
    assert not any("a1_act" in group.tensors or "bent" in group.tensors for group in groups)
    assert equalize(proto.SerializeToString(), small_set).groups == len(groups) > 0


def test_a_weight_that_two_layers_read_stays(small_set):
    proto = onnx.load_from_string(small_network())
    for node in proto.graph.node:
        if node.name == "node_a2":
            node.input[1] = "a1.weight"
    names = {node.name for group in find_groups(Graph(proto.SerializeToString())) for node in group.makers}
    assert not names & {"node_a1", "node_a2"}


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_strength_has_its_range(strength, small_set):
    with pytest.raises(ExportError, match="strength must be from 0 to 1"):
        equalize(small_network(), small_set, strength=strength)


def test_an_overflow_is_named(small_set):
    proto = onnx.load_from_string(small_network())
    for item in proto.graph.initializer:
        if item.name in ("stem.weight", "a1.weight"):
            item.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(item) * np.float32(1e30), item.name))
    with pytest.raises(CalibrationError, match="not finite"):
        equalize(proto.SerializeToString(), small_set)
