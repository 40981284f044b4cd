"""Turn a trained recogniser into one FP32 ONNX file with raw embeddings, and prove that it computes the same.

Batch norms are folded in PyTorch, in float64, before the export: the final one goes into the Gemm, so that the length
of an embedding, which carries the quality, is scaled in one place.
"""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from qcface_export.errors import ExportError
from qcface_export.files import write_whole
from qcface_export.onnx_graph import Graph
from qcface_train.arguments import ModelArguments, Recipe, RecipeError
from qcface_train.backbone import Backbone, Block, ImprovedBlock, build_backbone
from qcface_train.checkpoint import CheckpointError, load_checkpoint, load_weights

OPSET = 18
SIDE = 112
LARGEST_COSINE_LOSS = 1e-5
"""1 - cosine between ONNX and PyTorch that is still called equal; float32 sums in another order stay far below."""
LARGEST_NORM_ERROR = 1e-3
"""Relative difference of lengths that is still called equal."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the ONNX file is from the PyTorch network, on the same inputs."""

    largest_difference: float
    """Largest absolute difference of any number of an embedding."""
    least_cosine: float
    """Smallest cosine between the two embeddings of an input."""
    largest_norm_error: float
    """Largest relative difference of the two lengths."""


def network_from_checkpoint(path: Path) -> Backbone:
    """Read the averaged weights of a training checkpoint.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind of network.
    """
    content = load_checkpoint(path)
    try:
        network = build_backbone(ModelArguments.from_checkpoint(content["architecture"]))
        network.load_state_dict(content["average"])
    except (KeyError, RecipeError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not hold weights of a network this package knows: {error}") from error
    return network.eval()


def network_from_weights(path: Path, recipe: Path) -> Backbone:
    """Read a run's ``weights.pt``, with the architecture that its recipe names.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another architecture.
    RecipeError
        If the recipe cannot be used.
    """
    network = build_backbone(Recipe.from_yaml(recipe).model)
    try:
        network.load_state_dict(load_weights(path))
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not hold weights of the network of {recipe}: {error}") from error
    return network.eval()


def fold_batch_norms(network: Backbone) -> Backbone:
    """Return a float32 copy in evaluation mode with batch norms inside the layer they follow.

    None remain of an edge network or a MobileFaceNet. Those that an IResNet has in front of its padded convolutions
    stay: folded, they would change what is seen at the border.
    """
    folded: Any = copy.deepcopy(network).to(memory_format=torch.contiguous_format).double().eval()  # type: ignore[call-overload]
    for module in folded.modules():
        if isinstance(module, (Block, ImprovedBlock)):
            followers = ("bn1", "bn2") if isinstance(module, Block) else ("bn2", "bn3")
            for conv, norm in zip(("conv1", "conv2"), followers, strict=True):
                setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
                setattr(module, norm, nn.Identity())
        elif isinstance(module, nn.Sequential):
            for index in range(len(module) - 1):
                first, second = module[index], module[index + 1]
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    module[index], module[index + 1] = fuse_conv_bn_eval(first, second), nn.Identity()
    folded.project = fuse_linear_bn_eval(folded.project, folded.final_bn)
    folded.final_bn = nn.Identity()
    result: Backbone = folded.float()
    return result


def recognizer_to_onnx(network: Backbone) -> bytes:
    """Return the ONNX file of a recogniser.

    Parameters
    ----------
    network : Backbone
        Not modified.

    Returns
    -------
    bytes
        Input ``input`` (N, 3, 112, 112) float32, RGB, (x - 127.5) / 127.5; output ``embedding`` (N, 512), raw. N is
        dynamic; all weights are inside.
    """
    return folded_to_onnx(fold_batch_norms(network))


def folded_to_onnx(folded: nn.Module) -> bytes:
    """Return the ONNX file of a recogniser whose batch norms are folded already; else as `recognizer_to_onnx`."""
    example = torch.zeros(2, 3, SIDE, SIDE)
    batch = torch.export.Dim("N", min=1)
    # The exporter prints its progress and warns about its own internals; neither says anything of this network.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            folded,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["embedding"],
            dynamic_shapes={"images": {0: batch}},
            verbose=False,
        )
    if program is None:
        raise ExportError("the exporter gave no program; is onnxscript installed? pip install 'qcface-sdk[export]'")
    model = program.model_proto
    _strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def with_weights_of(folded: nn.Module, master: bytes) -> nn.Module:
    """Return a copy of a network with the weights of an ONNX file of it, such as an equalised one.

    Parameters
    ----------
    folded : Module
        With folded batch norms; not modified.
    master : bytes
        What `folded_to_onnx` made, or that with other numbers.

    Raises
    ------
    ExportError
        If the file lacks a weight, or holds one of another shape: it is of another network.
    """
    graph = Graph(master)
    held = dict(graph.constants)
    for node in graph.weighted_nodes():
        # The exporter keeps equal biases as one constant, and leaves out those of zeros.
        none = np.zeros(len(graph.constants[node.input[1]]), np.float32)
        bias = graph.constants[node.input[2]] if len(node.input) > 2 else none
        held[f"{str(node.input[1]).removesuffix('weight')}bias"] = bias
    own = copy.deepcopy(folded)
    wanted = own.state_dict()
    # Counters of batch norms are of no use in a file.
    names = [name for name, value in wanted.items() if value.is_floating_point()]
    for name in names:
        if name not in held or held[name].shape != tuple(wanted[name].shape):
            raise ExportError(
                f"the master holds no weight {name!r} of shape {tuple(wanted[name].shape)}; it is of another network"
            )
    own.load_state_dict(wanted | {name: torch.from_numpy(held[name].copy()) for name in names})
    return own


def _strip_traces(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes; they hold source paths of the machine that exported."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = model.doc_string = ""


def compare(network: Backbone, model: bytes, inputs: NDArray[np.float32]) -> Agreement:
    """Run both on the same inputs (N, 3, 112, 112) and measure the difference."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ours = np.asarray(session.run(["embedding"], {"input": inputs})[0])
    with torch.inference_mode():
        theirs = network.eval()(torch.from_numpy(inputs)).numpy()
    lengths, wanted = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
    cosines = (ours.astype(np.float64) * theirs).sum(1) / (lengths * wanted)
    return Agreement(
        float(np.abs(ours - theirs).max()), float(cosines.min()), float(np.abs(lengths / wanted - 1).max())
    )


def example_inputs(count: int = 8) -> NDArray[np.float32]:
    """Return fixed inputs (count, 3, 112, 112): soft patterns of rising contrast."""
    rng = np.random.default_rng(20251017)
    coarse = np.kron(rng.uniform(-1, 1, (count, 3, 14, 14)), np.ones((1, 1, 8, 8)))
    contrast = np.linspace(0.2, 1, count)[:, None, None, None]
    return np.asarray((0.8 * coarse + 0.2 * rng.uniform(-1, 1, coarse.shape)) * contrast, np.float32)


def checked_onnx(network: Backbone, inputs: NDArray[np.float32] | None = None) -> tuple[bytes, Agreement]:
    """Return the ONNX file of a network, compared with it.

    Parameters
    ----------
    network : Backbone
        Not modified.
    inputs : ndarray of float32, shape (N, 3, 112, 112), optional
        Normalised crops to compare on; None takes `example_inputs`.

    Raises
    ------
    ExportError
        If ONNX Runtime's result differs from PyTorch's.
    """
    model = recognizer_to_onnx(network)
    agreement = compare(network, model, example_inputs() if inputs is None else inputs)
    if not (1 - agreement.least_cosine <= LARGEST_COSINE_LOSS and agreement.largest_norm_error <= LARGEST_NORM_ERROR):
        raise ExportError(
            f"expected cosine within {LARGEST_COSINE_LOSS} of 1 and norm error up to {LARGEST_NORM_ERROR}, got "
            f"{agreement}; the export or a runtime version is at fault, do not use the file"
        )
    return model, agreement


def export_recognizer(checkpoint: Path, output: Path, inputs: NDArray[np.float32] | None = None) -> Agreement:
    """Write the ONNX file of a checkpoint's averaged weights.

    Parameters
    ----------
    checkpoint, output : Path
        What to read and write.
    inputs : ndarray of float32, optional
        As `checked_onnx`.

    Raises
    ------
    CheckpointError
        If the checkpoint cannot be used.
    ExportError
        If ONNX Runtime's result differs from PyTorch's; nothing is written then.
    """
    model, agreement = checked_onnx(network_from_checkpoint(checkpoint), inputs)
    write_whole(output, model)
    return agreement
