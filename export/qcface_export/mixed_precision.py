"""When all of a network in 8 bits loses too much: find the fewest and cheapest layers that must stay in float.

Each layer in turn, and each pair of cheap neighbours, is taken out of 8 bits, the file emitted and run; what helps most
for its cost stays in float, and all others are tried again beside it, until the figures keep their limits. Those that
were not needed after all are put back. Figures of the emitted file decide, no model of the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from qcface_export.calibration_table import CalibrationTable
from qcface_export.errors import GateError
from qcface_export.onnx_graph import Graph
from qcface_export.proof.limits import Limit
from qcface_export.proof.magnitudes import measure_embeddings

Run = Callable[[Sequence[str]], NDArray[np.float32]]
"""From the names of the layers in float to embeddings of the search pictures by the file that results."""

_JUDGED = ("cosine_mean", "cosine_min", "norm_bias", "norm_error_p95", "norm_error_max", "magnitude_spearman")
# What a layer costs besides its multiplications: two conversions and its place in the search.
_FIXED_COST = 0.02
# Largest share of the multiplications of two layers that are tried together; dearer ones come one by one.
_CHEAP_PAIR = 0.02
# Numbers of a tensor for one picture, and share of the multiplications of a layer; see `last_layers`.
_FEW, _NEXT_TO_NOTHING = 1024, 0.01


@dataclass(frozen=True, slots=True)
class Step:
    """One layer that was taken out of 8 bits."""

    layer: str
    """Its name in the master."""
    share: float
    """Its share of the network's multiplications."""
    strain: float
    """Largest figure relative to its limit with this layer and all before it in float; 1 is the limit."""
    figure: str
    """Name of that figure."""

    def __str__(self) -> str:
        return (
            f"{self.layer} in float ({100 * self.share:.1f} % of the multiplications): "
            f"worst figure {self.figure} at {100 * self.strain:.0f} % of its limit"
        )


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found."""

    layers: tuple[str, ...]
    """Layers to keep in float, in the order in which they were found."""
    before: Step
    """Where it began: no layer."""
    steps: tuple[Step, ...]
    """What each layer brought."""

    def lines(self) -> list[str]:
        """Return the search as text."""
        given = self.layers[: len(self.layers) - len(self.steps)]
        which = f"all layers but {', '.join(given)}" if given else "all layers"
        start = f"{which} in 8 bits: {self.before.figure} at {100 * self.before.strain:.0f} % of its limit"
        return [start, *map(str, self.steps)]


def last_layers(master: bytes, table: CalibrationTable) -> tuple[str, ...]:
    """Return the layers that make or read tensors of few numbers and cost next to nothing; they stay in float always.

    What is left of a face behind the last pooling is so few numbers that single faces lie far beyond any range seen:
    of 7,701 LFW faces some reached twice the largest value of 320 others, and lost 7 % of their magnitude.
    """
    graph = Graph(master)
    shares = _shares(graph, table)

    def touches(node: onnx.NodeProto) -> bool:
        inside = [name for name in (node.input[0], node.output[0]) if name != graph.output]
        return any(table.tensors[name].numbers <= _FEW for name in inside)

    nodes = [node for node in graph.weighted_nodes() if touches(node)]
    return tuple(node.name for node in nodes if shares[node.name] <= _NEXT_TO_NOTHING)


def search_layers(
    master: bytes,
    table: CalibrationTable,
    reference: NDArray[np.float32],
    run: Run,
    limits: Mapping[str, Limit],
    *,
    most: int = 6,
    room: float = 0.9,
    start: Sequence[str] = (),
    guesses: Sequence[Sequence[str]] = (),
    progress: Callable[[str], None] = lambda text: None,
) -> Search:
    """Find the fewest layers to keep in float.

    Parameters
    ----------
    master : bytes
        FP32 ONNX.
    table : CalibrationTable
        Of this master; gives the sizes of the layers.
    reference : ndarray of float32, shape (N, D)
        Embeddings of the search pictures by the master.
    run : callable
        Emits and runs the file with some layers in float.
    limits : mapping of str to Limit
        Of the gate; the figures that need no labels are judged here.
    most : int
        Layers to keep in float at most, beside those of `start`.
    room : float
        Share of each limit to stay within, because the gate judges other pictures.
    start : sequence of str
        Layers that stay in float in any case.
    guesses : sequence of sequences of str
        Sets of layers to try before the search, such as those another runtime needed.
    progress : callable
        Told what is being tried.

    Raises
    ------
    GateError
        If `most` layers do not suffice; the message says how near it came.
    """
    graph = Graph(master)
    shares = _shares(graph, table)
    pairs = _cheap_pairs(graph, shares)
    judge = _Judge(reference, run, limits)
    strain, figure, _ = judge(start)
    before = Step("", 0.0, strain, figure)
    if strain <= room:
        return Search(tuple(start), before, ())
    for guess in guesses:
        layers = [*start, *(name for name in guess if name not in start)]
        if judge(layers)[0] <= room:
            kept = _prune(layers, layers[len(start) :], judge, room)
            if len(kept) - len(start) <= most:
                return Search(tuple(kept), before, tuple(_steps(kept, start, shares, judge)))
    chosen = _enough(start, shares, pairs, judge, most, room, progress)
    kept = _prune(chosen, chosen[len(start) :], judge, room)
    return Search(tuple(kept), before, tuple(_steps(kept, start, shares, judge)))


def _enough(
    start: Sequence[str],
    shares: Mapping[str, float],
    pairs: Sequence[tuple[str, str]],
    judge: _Judge,
    most: int,
    room: float,
    progress: Callable[[str], None],
) -> list[str]:
    """Return `start` and one layer, or cheap pair of layers, after the other, until all figures keep within `room`."""
    chosen = list(start)
    strain, figure, total = judge(chosen)
    while strain > room and len(chosen) < min(len(start) + most, len(shares)):
        left = len(start) + most - len(chosen)
        chosen += _best_layers(chosen, total, shares, pairs if left > 1 else (), judge, progress)
        strain, figure, total = judge(chosen)
    if strain > room:
        raise GateError(
            f"{len(chosen)} layers in float ({', '.join(chosen)}) still leave {figure} at {100 * strain:.0f} % of its "
            f"limit, wanted {100 * room:.0f} %; allow more of them (release.py, quantize.py: --most-in-float), or ship "
            "FP32"
        )
    return chosen


def _best_layers(
    chosen: Sequence[str],
    total: float,
    shares: Mapping[str, float],
    pairs: Sequence[tuple[str, str]],
    judge: _Judge,
    progress: Callable[[str], None],
) -> tuple[str, ...]:
    """Return the layer or pair that brings most for its cost when it joins the chosen ones.

    All others are tried each time: what a layer brings depends on the noise that is left, and a ranking made once takes
    several expensive layers where two would do.
    """
    single: list[tuple[str, ...]] = [(name,) for name in shares]
    candidates = [layers for layers in [*single, *pairs] if not set(layers) & set(chosen)]
    gains: dict[tuple[str, ...], float] = {}
    for place, layers in enumerate(candidates, start=1):
        progress(f"layer {len(chosen) + 1} in float: trying {place} of {len(candidates)}")
        cost = sum(_FIXED_COST + shares[name] for name in layers)
        gains[layers] = (total - judge([*chosen, *layers])[2]) / cost
    return max(candidates, key=lambda layers: gains[layers])


def _cheap_pairs(graph: Graph, shares: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return layers that follow each other and together cost little.

    Where a file stores each layer's output in 8 bits, the tensor between two layers stays on its grid until both are in
    float, so that neither alone brings anything.
    """
    pairs = []
    for node in graph.weighted_nodes():
        maker = graph.maker(node.input[0])
        while maker is not None and maker.name not in shares and len(graph.data_inputs(maker)) == 1:
            maker = graph.maker(graph.data_inputs(maker)[0])
        if maker is not None and maker.name in shares and shares[maker.name] + shares[node.name] <= _CHEAP_PAIR:
            pairs.append((maker.name, node.name))
    return pairs


def _prune(chosen: Sequence[str], doubtful: Sequence[str], judge: _Judge, room: float) -> list[str]:
    """Put those of the doubtful layers back into 8 bits that are not needed beside the rest."""
    kept = list(chosen)
    for layer in doubtful:
        without = [name for name in kept if name != layer]
        if judge(without)[0] <= room:
            kept = without
    return kept


def _steps(kept: Sequence[str], start: Sequence[str], shares: Mapping[str, float], judge: _Judge) -> Iterator[Step]:
    for place in range(len(start), len(kept)):
        strain, figure, _ = judge(kept[: place + 1])
        yield Step(kept[place], shares[kept[place]], strain, figure)


class _Judge:
    """The strain of each set of layers in float, run once each."""

    def __init__(self, reference: NDArray[np.float32], run: Run, limits: Mapping[str, Limit]) -> None:
        self._reference, self._run, self._limits = reference, run, limits
        self._known: dict[frozenset[str], tuple[float, str, float]] = {}

    def __call__(self, layers: Sequence[str]) -> tuple[float, str, float]:
        key = frozenset(layers)
        if key not in self._known:
            self._known[key] = strain_of(self._reference, self._run(layers), self._limits)
        return self._known[key]


def strain_of(
    reference: NDArray[np.float32], found: NDArray[np.float32], limits: Mapping[str, Limit]
) -> tuple[float, str, float]:
    """Return the worst figure that needs no labels as a share of its limit, its name, and the sum of all squares.

    Parameters
    ----------
    reference, found : ndarray of float32, shape (N, D)
        Embeddings of the same pictures by the master and by a file.
    limits : mapping of str to Limit
        Of the gate. For a figure whose ideal is 1 the distances from 1 are compared.
    """
    values = measure_embeddings(reference, found)
    strains = {}
    for name in _JUDGED:
        if name in limits:
            limit, value = limits[name], values[name]
            share = (1 - value) / (1 - limit.value) if limit.kind == "at_least" else abs(value) / limit.value
            strains[name] = share if math.isfinite(share) else math.inf
    worst = max(strains, key=lambda name: strains[name])
    return strains[worst], worst, sum(share * share for share in strains.values())


def _shares(graph: Graph, table: CalibrationTable) -> dict[str, float]:
    """Return each layer's share of the multiplications."""
    counts: dict[str, float] = {}
    for node in graph.weighted_nodes():
        weight = graph.constants[node.input[1]]
        outputs = table.tensors[node.output[0]].numbers
        counts[node.name] = outputs * float(np.prod(weight.shape[1:])) if node.op_type == "Conv" else float(weight.size)
    whole = sum(counts.values())
    return {name: count / whole for name, count in counts.items()}
