"""From a master and its table to the INT8 file of one runtime, with layers in float where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_export.calibration_table import DEFAULT_PERCENTILE, CalibrationTable
from qcface_export.embedders import FileEmbedder
from qcface_export.emit import emit_cpu_int8, emit_openvino_int8, emit_trt
from qcface_export.errors import ExportError
from qcface_export.mixed_precision import Search, search_layers
from qcface_export.proof import Limit

TENSORRT = "tensorrt"
"""The form that engines are built from; a CPU judges its twin with FP32 floats."""


def _emit_twin(
    master: bytes,
    table: CalibrationTable,
    *,
    percentile: float = DEFAULT_PERCENTILE,
    nodes_in_float: Collection[str] = (),
) -> bytes:
    return emit_trt(master, table, "int8-fp32", percentile=percentile, nodes_in_float=nodes_in_float)


EMITTERS = {"onnxruntime": emit_cpu_int8, "openvino": emit_openvino_int8, TENSORRT: _emit_twin}
"""Form of an INT8 file, named after the runtime it is for, to its emitter."""


@dataclass(frozen=True, slots=True)
class QuantizedFile:
    """An INT8 file and how it came about."""

    data: bytes
    """ONNX."""
    search: Search
    """Which layers stay in float, and why."""


def quantize(
    master: bytes,
    table: CalibrationTable,
    form: str,
    crops: NDArray[np.uint8],
    limits: Mapping[str, Limit],
    *,
    runtime: str | None = None,
    percentile: float = DEFAULT_PERCENTILE,
    most: int = 6,
    room: float = 0.9,
    start: Sequence[str] = (),
    guesses: Sequence[Sequence[str]] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> QuantizedFile:
    """Make the INT8 file of a runtime, with as few layers in float as the limits allow.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    table : CalibrationTable
        Of this master.
    form : str
        A key of `EMITTERS`.
    crops : ndarray of uint8, shape (N, 112, 112, 3)
        Pictures to search on; not those of the calibration, nor those the gate judges.
    limits : mapping of str to Limit
        Of the gate.
    runtime : str, optional
        Backend that runs the file here; None takes that of the form. ``tensorrt`` needs one that a CPU has.
    percentile : float
        Of the table.
    most, room, start, guesses, progress
        As `search_layers`.

    Raises
    ------
    GateError
        If no more than `most` layers in float are not enough.
    CalibrationError, ExportError
        As the emitter.
    """
    if form not in EMITTERS:
        raise ExportError(f"form must be one of {', '.join(EMITTERS)}, got {form!r}")

    def emit(layers: Sequence[str]) -> bytes:
        return EMITTERS[form](master, table, percentile=percentile, nodes_in_float=layers)

    def run(layers: Sequence[str]) -> NDArray[np.float32]:
        return embed_with(emit(layers), runtime or form, crops)

    reference = embed_with(master, "onnxruntime", crops)
    search = search_layers(
        master, table, reference, run, limits, most=most, room=room, start=start, guesses=guesses, progress=progress
    )
    return QuantizedFile(emit(search.layers), search)


def embed_with(model: bytes, runtime: str, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Embed aligned crops (N, 112, 112, 3) by an ONNX file on a backend; return (N, D)."""
    embedder = FileEmbedder(model, runtime)
    try:
        return embedder(crops)
    finally:
        embedder.close()
