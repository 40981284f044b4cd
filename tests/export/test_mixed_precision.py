"""The search finds the layers that spoil a file, prefers cheap ones, and says when it cannot help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from qcface_export.calibration_table import CalibrationTable
from qcface_export.errors import GateError
from qcface_export.mixed_precision import last_layers, search_layers
from qcface_export.onnx_graph import Graph
from qcface_export.proof import read_limits
from small_networks import small_network

LAYERS = [node.name for node in Graph(small_network()).weighted_nodes()]


class Files:
    """Stands for emitting and running: each layer in 8 bits adds noise of its own size to the embeddings."""

    def __init__(self, noise: dict[str, float]) -> None:
        rng = np.random.default_rng(0)
        rows = rng.normal(size=(200, 16))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        self.reference = (rows * rng.uniform(20, 90, (200, 1))).astype(np.float32)
        self._parts = {name: rng.normal(size=rows.shape) * noise.get(name, 0.001) for name in LAYERS}
        self.runs: list[frozenset[str]] = []

    def run(self, layers: Sequence[str]) -> np.ndarray:
        self.runs.append(frozenset(layers))
        noise = sum(part for name, part in self._parts.items() if name not in layers)
        lengths = np.linalg.norm(self.reference, axis=1, keepdims=True)
        return (self.reference + noise * lengths).astype(np.float32)


def search(files: Files, table: CalibrationTable, **options):
    return search_layers(small_network(), table, files.reference, files.run, read_limits(), **options)


def test_search_with_nothing_to_mend_keeps_all_in_8_bits(small_table: CalibrationTable) -> None:
    files = Files({})
    found = search(files, small_table)
    assert found.layers == ()
    assert len(files.runs) == 1
    assert "all layers in 8 bits" in found.lines()[0]


def test_search_finds_the_two_bad_layers_and_no_other(small_table: CalibrationTable) -> None:
    found = search(Files({"node_pool": 0.03, "node_b2": 0.03}), small_table)
    assert set(found.layers) == {"node_pool", "node_b2"}
    assert found.before.strain > 1
    assert found.steps[-1].strain <= 0.9
    assert found.steps[0].strain > found.steps[1].strain
    assert "of its limit" in found.lines()[-1]


def test_search_of_two_equal_remedies_takes_the_cheaper(small_table: CalibrationTable) -> None:
    # either alone is enough; the linear layer has a hundredth of the work
    found = search(Files({"node_a1": 0.0065, "node_project": 0.0065}), small_table, room=1.0)
    assert found.layers[:1] == ("node_project",)


def test_search_puts_back_what_the_later_layers_made_needless(small_table: CalibrationTable) -> None:
    # cheap layers with a little gain come first in the ranking, the dear one decides
    noise = {"node_project": 0.004, "node_pool": 0.004, "node_b2": 0.03}
    found = search(Files(noise), small_table, room=1.0)
    assert "node_b2" in found.layers
    for layer in found.layers:
        rest = [name for name in found.layers if name != layer]
        with pytest.raises(GateError):
            search(Files(noise), small_table, room=1.0, start=rest, most=0)


def test_search_that_does_not_succeed_says_how_near_it_came(small_table: CalibrationTable) -> None:
    with pytest.raises(GateError, match=r"2 layers in float .* still leave .* % of its limit, wanted 90 %; allow more"):
        search(Files(dict.fromkeys(LAYERS, 0.05)), small_table, most=2)


def test_search_runs_no_set_of_layers_twice(small_table: CalibrationTable) -> None:
    files = Files({"node_pool": 0.03, "node_b2": 0.03})
    search(files, small_table)
    assert len(set(files.runs)) == len(files.runs)


def test_search_takes_a_guess_that_suffices_without_searching(small_table: CalibrationTable) -> None:
    files = Files({"node_pool": 0.03})
    found = search(files, small_table, guesses=[["node_stem"], ["node_pool", "node_stem"]])
    # the needless layer of the guess goes back into 8 bits
    assert found.layers == ("node_pool",)
    assert len(files.runs) < len(LAYERS)


def test_search_takes_no_guess_of_more_layers_than_allowed(small_table: CalibrationTable) -> None:
    files = Files({"node_pool": 0.03, "node_b2": 0.03})
    guess = ("node_pool", "node_b2")
    assert search(files, small_table, guesses=[guess], most=2).layers == guess
    with pytest.raises(GateError, match="1 layers in float"):
        search(files, small_table, guesses=[guess], most=1)


class Between(Files):
    """As above, but one tensor between two layers is noisy, and stays on its grid until both are in float."""

    def run(self, layers: Sequence[str]) -> np.ndarray:
        lengths = np.linalg.norm(self.reference, axis=1, keepdims=True)
        noise = np.random.default_rng(1).normal(size=self.reference.shape) * 0.03
        both = {"node_pool", "node_project"} <= set(layers)
        return super().run(layers) + np.float32(0 if both else 1) * (noise * lengths).astype(np.float32)


def test_search_tries_cheap_neighbours_together(small_table: CalibrationTable) -> None:
    found = search(Between({}), small_table, most=3)
    assert set(found.layers) == {"node_pool", "node_project"}
    assert found.steps[0].strain > 1 > found.steps[1].strain
    with pytest.raises(GateError, match="1 layers in float"):
        search(Between({}), small_table, most=1)


def test_the_layers_behind_the_last_pooling_stay_in_float(small_table: CalibrationTable) -> None:
    assert last_layers(small_network(), small_table) == ("node_pool", "node_project")
    found = search(Files({}), small_table, start=last_layers(small_network(), small_table))
    assert found.layers == ("node_pool", "node_project")
    assert found.lines()[0].startswith("all layers but node_pool, node_project in 8 bits: ")
