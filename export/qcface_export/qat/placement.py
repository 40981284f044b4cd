"""Where the TensorRT file will round, told by the names of weights: those are equal in PyTorch and in the master."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qcface_export.calibration_table import DEFAULT_PERCENTILE, CalibrationTable
from qcface_export.emit.pixels import PixelGrid, pixel_grid
from qcface_export.emit.quantization import symmetric_scale
from qcface_export.emit.trt import residual_branches
from qcface_export.errors import ExportError
from qcface_export.onnx_graph import Graph


@dataclass(frozen=True, slots=True)
class Placement:
    """The grids of a TensorRT file. Immutable."""

    inputs: Mapping[str, str]
    """Weight of a convolution or linear layer to the tensor it reads, as the master names it."""
    shortcuts: Mapping[str, str]
    """Weight of the convolution that a residual sum fuses with to the tensor of the sum's shortcut."""
    steps: Mapping[str, float]
    """Tensor to the step of its grid, one that FP16 holds."""
    picture: str
    """Name of the tensor of the pixels."""
    pixels: PixelGrid | None
    """Their own grid, which is not learned; None if the preprocessing allows none: they are rounded like the rest."""

    @classmethod
    def of(cls, master: bytes, table: CalibrationTable, percentile: float = DEFAULT_PERCENTILE) -> Placement:
        """Return what `emit_trt` will do with a master and its table.

        Raises
        ------
        CalibrationError
            If the table is of another model, or lacks a tensor or the percentile.
        ExportError
            If the master is no usable ONNX file.
        """
        table.check_model(master)
        graph = Graph(master)
        inputs = {node.input[1]: str(node.input[0]) for node in graph.weighted_nodes()}
        shortcuts = {}
        by_name = {node.name: node for node in graph.nodes}
        for name, tensor in residual_branches(graph).items():
            fused = graph.maker(next(other for other in by_name[name].input if other != tensor))
            if fused is None:
                raise ExportError(f"the sum {name!r} of this master adds no layer's output; it cannot be fine-tuned")
            shortcuts[fused.input[1]] = tensor
        pixels = pixel_grid(table.preprocessing)
        steps = {}
        for tensor in (*inputs.values(), *shortcuts.values()):
            low, high = table.limits(tensor, percentile)
            if tensor == graph.input and pixels is not None:
                low, high = -127 * pixels.step, 127 * pixels.step
            steps[tensor] = float(symmetric_scale(low, high, half=True).scale)
        return cls(MappingProxyType(inputs), MappingProxyType(shortcuts), MappingProxyType(steps), graph.input, pixels)
