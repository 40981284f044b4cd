"""Is this ONNX file what the SDK expects? Names, shapes and a smoke run, before it may enter a bundle."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from qcface_sdk.errors import InferenceError, ModelFormatError
from qcface_sdk.runtime import TensorSpec, open_runner

CROP_SIDE = 112
DETECTOR_STRIDES = (8, 16, 32)
DETECTOR_WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}

# Two detector inputs (height, width) that differ in both sides, so that a fixed size cannot pass.
_DETECTOR_SIZES = ((256, 320), (320, 384))
# A network that keeps magnitudes gives inputs of contrast 0.1 to 1 lengths that differ by far more than rounding does.
_LEAST_MAGNITUDE_SPREAD = 1e-3
# Float32 kernels sum in another order for another batch size.
_BATCH_TOLERANCE = 1e-3


def smoke_inputs() -> NDArray[np.float32]:
    """Return fixed recogniser inputs (8, 3, 112, 112) in -1..1: soft patterns of rising contrast."""
    rng = np.random.default_rng(20260101)
    coarse = rng.uniform(-1.0, 1.0, (8, 3, 14, 14))
    fine = rng.uniform(-1.0, 1.0, (8, 3, CROP_SIDE, CROP_SIDE))
    patterns = 0.8 * np.kron(coarse, np.ones((1, 1, 8, 8))) + 0.2 * fine
    contrast = np.linspace(0.1, 1.0, 8)[:, None, None, None]
    return (patterns * contrast).astype(np.float32)


def check_onnx(model: bytes, what: str) -> str:
    """Check an ONNX file's structure and return the program that made it, such as ``pytorch 2.13.0``.

    Raises
    ------
    ModelFormatError
        If it is not a whole, valid ONNX file.
    """
    try:
        proto = onnx.load_from_string(model)
        onnx.checker.check_model(proto, full_check=True)
    except Exception as error:
        raise ModelFormatError(f"the {what} is no valid ONNX file of {len(model):,} bytes: {error}") from error
    return f"{proto.producer_name} {proto.producer_version}".strip() or "unknown"


def recognizer_embeddings(model: bytes, runtime: str) -> NDArray[np.float32]:
    """Check a recogniser against the contract and return its embeddings of `smoke_inputs`, shape (8, D).

    Raises
    ------
    ModelFormatError
        If inputs or outputs have other names, types or shapes, a batch gives other embeddings than single faces, or
        the embeddings carry no magnitude (already normalised).
    InferenceError
        If an embedding is not finite.
    """
    batch = smoke_inputs()
    with open_runner(model, runtime) as runner:
        _check_specs(runner.inputs, {"input": (None, 3, CROP_SIDE, CROP_SIDE)}, "recogniser input")
        width = runner.outputs[0].shape[-1] if runner.outputs[0].shape else None
        if width is None:
            raise ModelFormatError("recogniser output 'embedding' must have a fixed dimension, got a dynamic one")
        _check_specs(runner.outputs, {"embedding": (None, width)}, "recogniser output")
        embeddings = runner.infer({"input": batch})["embedding"]
        singles = np.concatenate([runner.infer({"input": row[None]})["embedding"] for row in batch])
    if not np.isfinite(embeddings).all():
        raise InferenceError("the recogniser gives NaN or infinity on ordinary input; its weights are damaged")
    magnitudes = np.linalg.norm(embeddings, axis=1)
    if magnitudes.min() <= 0 or magnitudes.max() / magnitudes.min() - 1 < _LEAST_MAGNITUDE_SPREAD:
        raise ModelFormatError(
            f"recogniser output must be raw embeddings whose length varies, got lengths {magnitudes.min():.6g} to "
            f"{magnitudes.max():.6g}; export without the final normalisation"
        )
    if (np.linalg.norm(singles - embeddings, axis=1) > _BATCH_TOLERANCE * magnitudes).any():
        raise ModelFormatError("the recogniser gives other embeddings in a batch than one by one; export in eval mode")
    return embeddings.astype(np.float32, copy=False)


def check_detector(model: bytes, runtime: str) -> None:
    """Check a detector against YuNet's layout.

    Raises
    ------
    ModelFormatError
        If inputs or outputs have other names, types or shapes, or the input size is fixed.
    InferenceError
        If an output is not finite.
    """
    names = {f"{kind}_{stride}": width for kind, width in DETECTOR_WIDTHS.items() for stride in DETECTOR_STRIDES}
    with open_runner(model, runtime) as runner:
        batch = runner.inputs[0].shape[:1] if runner.inputs else ()
        _check_specs(runner.inputs, {"input": (None if batch == (None,) else 1, 3, None, None)}, "detector input")
        if {spec.name for spec in runner.outputs} != set(names):
            got = ", ".join(spec.name for spec in runner.outputs)
            raise ModelFormatError(f"detector outputs must be {', '.join(names)}, got {got}")
        for height, width in _DETECTOR_SIZES:
            outputs = runner.infer({"input": np.full((1, 3, height, width), 127.0, np.float32)})
            for name, values in outputs.items():
                stride = int(name.rpartition("_")[2])
                _check_output(name, values, (1, height // stride * (width // stride), names[name]))


def _check_output(name: str, values: NDArray[Any], shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise ModelFormatError(f"detector output {name!r} must be float32 {shape}, got {values.dtype} {values.shape}")
    if not np.isfinite(values).all():
        raise InferenceError(
            f"detector output {name!r} holds NaN or infinity on a grey picture; its weights are damaged"
        )


def _check_specs(specs: tuple[TensorSpec, ...], wanted: dict[str, tuple[int | None, ...]], what: str) -> None:
    got = {spec.name: (spec.dtype, spec.shape) for spec in specs}
    if got != {name: (np.dtype(np.float32), shape) for name, shape in wanted.items()}:
        raise ModelFormatError(f"{what} must be {_table(wanted)} of float32, got {_listed(specs)}; export it again")


def _table(wanted: dict[str, tuple[int | None, ...]]) -> str:
    return ", ".join(f"{name} {_shape(shape)}" for name, shape in wanted.items())


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {_shape(spec.shape)} of {spec.dtype}" for spec in specs) or "none"


def _shape(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
