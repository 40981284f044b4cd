"""Choose how wide the grid of each activation is by what it does to the embedding.

Percentiles say how rare a value is, not how much it matters: clipping a tensor's few largest values makes the steps
finer for all others, which is worth it here and costs a long embedding its length there. So each tensor's range is
narrowed or widened in turn, every 8-bit form emitted and run, and what takes the gate's figures further from their
limits is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_export.calibration_table import DEFAULT_PERCENTILE, SMALL_TENSOR, CalibrationTable, TensorRange
from qcface_export.mixed_precision import strain_of
from qcface_export.onnx_graph import Graph
from qcface_export.proof.limits import Limit
from qcface_export.quantized_file import EMITTERS, embed_with

_STEPS = (0.85, 1.15)
"""Factors tried on a range, again and again while they help."""
_NARROWEST, _WIDEST = 0.3, 2.0
_LEAST_GAIN = 0.002
"""Share of the strain that a change must take away: less is chance on so few pictures."""


@dataclass(frozen=True, slots=True)
class RangeSearch:
    """What a search found."""

    table: CalibrationTable
    """Ranges that stand for every percentile."""
    factors: Mapping[str, float]
    """Tensor to the factor on its range, of those that changed."""
    before: float
    """Sum of the squares of the figures as shares of their limits, mean over the forms."""
    after: float
    """Likewise, with the ranges found."""

    def __str__(self) -> str:
        changes = ", ".join(f"{name} x {factor:.2f}" for name, factor in self.factors.items())
        return (
            f"ranges of {len(self.factors)} activations changed, squared strain with all layers in 8 bits "
            f"{self.before:.3g} to {self.after:.3g}: {changes or 'none was better'}"
        )


def search_ranges(
    master: bytes,
    table: CalibrationTable,
    forms: Mapping[str, str],
    crops: NDArray[np.uint8],
    limits: Mapping[str, Limit],
    *,
    percentile: float = DEFAULT_PERCENTILE,
    progress: Callable[[str], None] = lambda text: None,
) -> RangeSearch:
    """Find ranges that suit all forms together, all layers in 8 bits.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    table : CalibrationTable
        Of this master; where the search begins.
    forms : mapping of str to str
        Keys of `EMITTERS` to the backend that runs each here.
    crops : ndarray of uint8, shape (N, 112, 112, 3)
        Pictures of the calibration; neither those of the search for layers, nor those the gate judges.
    limits : mapping of str to Limit
        Of the gate; the figures that need no labels are judged here.
    percentile : float
        Of the table, where the search begins.
    progress : callable
        Told what is being tried.

    Raises
    ------
    CalibrationError, ExportError
        As the emitters.
    """
    judge = _Judge(master, table, forms, crops, limits, percentile)
    factors: dict[str, float] = {}
    before = best = judge(factors)
    graph = Graph(master)
    # Small tensors are not clipped: the pictures do not show what each of so few numbers may become.
    names = [
        name for name in graph.activations() if name != graph.input and table.tensors[name].numbers >= SMALL_TENSOR
    ]
    for place, name in enumerate(names, start=1):
        progress(f"ranges: {place} of {len(names)}, squared strain {best:.3g}, at first {before:.3g}")
        for step in _STEPS:
            moved = False
            while _NARROWEST <= (factor := factors.get(name, 1.0) * step) <= _WIDEST:
                strain = judge(factors | {name: factor})
                if strain > best * (1 - _LEAST_GAIN):
                    break
                factors[name], best, moved = factor, strain, True
            if moved:
                break  # what narrowing improved, widening does not
    return RangeSearch(_scaled(table, factors, percentile), factors, before, best)


class _Judge:
    """The strain of each set of factors; each emitted file is run once."""

    def __init__(
        self,
        master: bytes,
        table: CalibrationTable,
        forms: Mapping[str, str],
        crops: NDArray[np.uint8],
        limits: Mapping[str, Limit],
        percentile: float,
    ) -> None:
        self._master, self._table, self._forms, self._limits = master, table, forms, limits
        self._crops, self._percentile = crops, percentile
        self._reference = embed_with(master, "onnxruntime", crops)
        self._known: dict[str, float] = {}

    def __call__(self, factors: Mapping[str, float]) -> float:
        table = _scaled(self._table, factors, self._percentile)
        strains = []
        for form, runtime in self._forms.items():
            data = EMITTERS[form](self._master, table, percentile=self._percentile, nodes_in_float=())
            key = f"{form} {hashlib.sha256(data).hexdigest()}"
            if key not in self._known:
                found = embed_with(data, runtime, self._crops)
                self._known[key] = strain_of(self._reference, found, self._limits)[2]
            strains.append(self._known[key])
        return float(np.mean(strains))


def _scaled(table: CalibrationTable, factors: Mapping[str, float], percentile: float) -> CalibrationTable:
    ranges = {}
    for name, seen in table.tensors.items():
        low, high = (limit * factors.get(name, 1.0) for limit in seen.limits(percentile))
        ends = dict.fromkeys(seen.percentiles, max(abs(low), abs(high)))
        ranges[name] = TensorRange(low, high, ends, seen.numbers)
    return table.with_ranges(ranges)
