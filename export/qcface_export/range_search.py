"""Choose how wide the grid of each activation is by what it does to the embedding.

Percentiles say how rare a value is, not how much it matters: clipping a tensor's few largest values makes the steps
finer for all others, which is worth it here and costs a long embedding its length there. So each tensor's range is
narrowed or widened in turn, every 8-bit form emitted and run, and what takes the gate's figures further from their
limits is kept.

What a Relu reads after it was added to a shortcut has a low end of its own: so far below 0 that the shortcut never
makes up for it, any value is as good as another, and a grid that reaches there is coarser for nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qcface_export.calibration_table import DEFAULT_PERCENTILE, SMALL_TENSOR, CalibrationTable, TensorRange
from qcface_export.mixed_precision import strain_of
from qcface_export.onnx_graph import Graph
from qcface_export.proof.limits import Limit
from qcface_export.quantized_file import EMITTERS, embed_with

STEPS = (0.85, 1.15)
"""Factors tried on a range, again and again while they help."""
_NARROWEST, _WIDEST = 0.3, 2.0
_NARROWEST_BELOW = 0.1
"""Likewise for a low end alone."""
_LEAST_GAIN = 0.002
"""Share of the strain that a change must take away: less is chance on so few pictures."""

_Factors = Mapping[str, tuple[float, float]]
_UNCHANGED = (1.0, 1.0)


@dataclass(frozen=True, slots=True)
class RangeSearch:
    """What a search found."""

    table: CalibrationTable
    """Ranges that stand for every percentile."""
    factors: Mapping[str, tuple[float, float]]
    """Tensor to the factors on the low and on the high end of its range, of those that changed."""
    before: float
    """Sum of the squares of the figures as shares of their limits, mean over the forms."""
    after: float
    """Likewise, with the ranges found."""

    def __str__(self) -> str:
        changes = ", ".join(
            f"{name} x {high:.2f}" if low == high else f"{name} x {low:.2f} below 0, x {high:.2f} above"
            for name, (low, high) in self.factors.items()
        )
        return (
            f"ranges of {len(self.factors)} activations changed, squared strain "
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
    nodes_in_float: Collection[str] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> RangeSearch:
    """Find ranges that suit all forms together.

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
    nodes_in_float : collection of str
        Layers that will be in float whatever the ranges; all others are in 8 bits here.
    progress : callable
        Told what is being tried.

    Raises
    ------
    CalibrationError, ExportError
        As the emitters.
    """
    judge = _Judge(master, table, forms, crops, limits, percentile, nodes_in_float)
    before = judge({})
    graph = Graph(master)
    factors = _cut_by_relu(graph, table, percentile)
    best = judge(factors)
    names = [name for name in graph.activations() if name != graph.input]
    for place, name in enumerate(names, start=1):
        progress(f"ranges: {place} of {len(names)}, squared strain {best:.3g}, at first {before:.3g}")
        # Small tensors are not clipped: the pictures do not show what each of so few numbers may become.
        if table.tensors[name].numbers >= SMALL_TENSOR:
            best = _improve(factors, name, judge, best, _NARROWEST, high_too=True)
        if _shortcuts(graph, name):
            best = _improve(factors, name, judge, best, _NARROWEST_BELOW, high_too=False)
    return RangeSearch(_scaled(table, factors, percentile), factors, before, best)


def _improve(
    factors: dict[str, tuple[float, float]], name: str, judge: _Judge, best: float, narrowest: float, *, high_too: bool
) -> float:
    """Move the range of one tensor, or its low end alone, while that helps; return the strain then."""
    for step in STEPS:
        moved = False
        while True:
            low, high = factors.get(name, _UNCHANGED)
            changed = (low * step, high * step if high_too else high)
            if not narrowest <= changed[0] <= _WIDEST:
                break
            strain = judge(factors | {name: changed})
            if strain > best * (1 - _LEAST_GAIN):
                break
            factors[name], best, moved = changed, strain, True
        if moved:
            break  # what narrowing improved, widening does not
    return best


def _shortcuts(graph: Graph, tensor: str) -> list[str]:
    """Return what is added to a tensor, if all that is done with it is to add that and make a Relu of the sum."""
    sums = graph.readers(tensor)
    if len(sums) != 1 or sums[0].op_type != "Add":
        return []
    readers = graph.readers(sums[0].output[0])
    if len(readers) != 1 or readers[0].op_type != "Relu":
        return []
    return [name for name in graph.data_inputs(sums[0]) if name != tensor]


def _cut_by_relu(graph: Graph, table: CalibrationTable, percentile: float) -> dict[str, tuple[float, float]]:
    """Return the factors that raise each low end to where the shortcut at its largest still leaves the sum at 0."""
    factors = {}
    for name in table.tensors:
        low = table.limits(name, percentile)[0]
        for shortcut in _shortcuts(graph, name):
            enough = -max(table.tensors[shortcut].maximum, 0.0)
            if low < enough < 0:
                factors[name] = (enough / low, 1.0)
    return factors


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
        nodes_in_float: Collection[str],
    ) -> None:
        self._master, self._table, self._forms, self._limits = master, table, forms, limits
        self._crops, self._percentile, self._floats = crops, percentile, nodes_in_float
        self._reference = embed_with(master, "onnxruntime", crops)
        self._known: dict[str, float] = {}

    def __call__(self, factors: _Factors) -> float:
        table = _scaled(self._table, factors, self._percentile)
        strains = []
        for form, runtime in self._forms.items():
            data = EMITTERS[form](self._master, table, percentile=self._percentile, nodes_in_float=self._floats)
            key = f"{form} {hashlib.sha256(data).hexdigest()}"
            if key not in self._known:
                found = embed_with(data, runtime, self._crops)
                self._known[key] = strain_of(self._reference, found, self._limits)[2]
            strains.append(self._known[key])
        return float(np.mean(strains))


def _scaled(table: CalibrationTable, factors: _Factors, percentile: float) -> CalibrationTable:
    ranges = {}
    for name, seen in table.tensors.items():
        low, high = (
            limit * factor for limit, factor in zip(seen.limits(percentile), factors.get(name, _UNCHANGED), strict=True)
        )
        ends = dict.fromkeys(seen.percentiles, max(abs(low), abs(high)))
        ranges[name] = TensorRange(low, high, ends, seen.numbers)
    return table.with_ranges(ranges)
