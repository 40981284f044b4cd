"""What every inference backend looks like to the rest of the SDK.

`Runner.infer` checks the feeds once and calls the backend's `_infer`; so a backend adapter is short and a wrong feed
gives the same error everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from qcface_sdk.errors import InferenceError, InputError, ModelFormatError, ShapeError

_Self = TypeVar("_Self", bound="Runner")

MAX_MODEL_BYTES = 1 << 30

# Start of a TensorProto.external_data entry (onnx.proto): key "location", then its value. Backends would follow it to a
# file in the working directory whose bytes nobody has verified.
_EXTERNAL_WEIGHTS = b"\x0a\x08location\x12"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a model."""

    name: str
    """Name in the model file."""
    dtype: np.dtype[Any]
    """Type of the elements."""
    shape: tuple[int | None, ...]
    """Size of each axis; None where any size of at least 1 will do."""


class Runner(ABC):
    """A loaded model that can be run.

    Owns the backend's session until `close`, or the end of the ``with`` block. `infer` may be called by any number of
    threads at once; `close` may be called at any time and lets runs in progress finish.
    """

    name: str
    """Backend name, as in the manifest."""
    inputs: tuple[TensorSpec, ...]
    """Inputs of the model, in its order."""
    outputs: tuple[TensorSpec, ...]
    """Outputs of the model, in its order."""

    def infer(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the model once.

        Parameters
        ----------
        feeds : mapping of str to ndarray
            One array per input, of its dtype and shape; copied only if not C-contiguous. Values are not looked at:
            NaN in gives NaN out.

        Returns
        -------
        dict of str to ndarray
            One array per output, owned by the caller.

        Raises
        ------
        InputError
            If an input is missing or unknown.
        ShapeError
            If an array has another dtype or shape.
        InferenceError
            If the runner is closed or the backend fails.
        """
        arrays = self._checked(feeds)
        return self._infer(arrays)

    @abstractmethod
    def close(self) -> None:
        """Release the session; later calls of `infer` are an `InferenceError`, of `close` nothing."""

    @abstractmethod
    def _infer(self, feeds: dict[str, Any]) -> dict[str, NDArray[Any]]:
        """Run checked, C-contiguous feeds."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _checked(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        wanted = {spec.name for spec in self.inputs}
        if feeds.keys() != wanted:
            raise InputError(f"feeds must be {sorted(wanted)}, got {sorted(feeds)}; see runner.inputs")
        return {spec.name: checked_array(spec, feeds[spec.name]) for spec in self.inputs}


def closed_error(name: str) -> InferenceError:
    """Return the error for a run after `close`."""
    return InferenceError(f"this {name} runner is closed; open a new one")


def one_line(error: BaseException) -> str:
    """Return a backend's message without its line breaks, cut to a readable length."""
    return " ".join(str(error).split())[:300]


def check_model_bytes(model: object) -> bytes:
    """Return `model` if it can be a model file at all: bytes, not empty, not beyond all reason."""
    if not isinstance(model, bytes):
        raise InputError(f"model must be the bytes of an ONNX file, got {type(model).__name__}; pass path.read_bytes()")
    if not 0 < len(model) <= MAX_MODEL_BYTES:
        raise ModelFormatError(f"an ONNX file must have 1 to {MAX_MODEL_BYTES:,} bytes, got {len(model):,}")
    if _EXTERNAL_WEIGHTS in model:
        raise ModelFormatError("the ONNX file keeps weights in another file; save it as one file and pack it again")
    return model


def checked_array(spec: TensorSpec, array: Any) -> NDArray[Any]:
    """Return `array` C-contiguous if it is one of the input's type and shape."""
    if not isinstance(array, np.ndarray):
        raise ShapeError(f"{_wanted(spec)}, got {type(array).__name__}; pass a numpy array")
    check_shape(spec, array.dtype, array.shape)
    return np.ascontiguousarray(array)


def check_shape(spec: TensorSpec, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise `ShapeError` unless an array of this type and shape fits the input."""
    fits = len(shape) == len(spec.shape) and all(
        size == fixed if fixed is not None else size > 0 for size, fixed in zip(shape, spec.shape, strict=False)
    )
    if dtype != spec.dtype or not fits:
        raise ShapeError(f"{_wanted(spec)}, got {dtype} {shape}; convert or reshape it")


def _wanted(spec: TensorSpec) -> str:
    return f"input {spec.name!r} must be {spec.dtype} of shape {_shape_text(spec.shape)}"


def _shape_text(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
