"""Comparing networks: counts by hand, times that are there, a table that is whole."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402

from qcface_export.backbone_comparison import (  # noqa: E402
    CANDIDATES,
    Comparison,
    Timing,
    compare_backbone,
    count_macs,
    markdown_table,
)


def test_count_macs_of_two_layers_equals_the_count_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Flatten(), nn.LazyLinear(5)
    )
    network(torch.zeros(1, 3, 112, 112))
    assert count_macs(network) == 56 * 56 * 4 * 27 + 56 * 56 * 4 * 9 + 56 * 56 * 4 * 5


def test_compare_backbone_times_both_precisions_and_the_small_file_is_small() -> None:
    found = compare_backbone("mobilefacenet", repeats=2, runtimes=("onnxruntime",))
    assert set(found.timings) == {("fp32", "onnxruntime"), ("int8", "onnxruntime")}
    assert all(0 < timing.fastest <= timing.median for timing in found.timings.values())
    assert found.int8_bytes is not None
    assert found.parameters < found.int8_bytes < 2 * found.parameters
    assert found.macs > found.parameters


def test_table_has_a_row_for_each_network_and_gaps_where_nothing_was_measured() -> None:
    timing = Timing(2.0, 1.5, 1.75)
    rows = [
        Comparison("a", 1_200_000, 220_000_000, 1_300_000, {("fp32", "onnxruntime"): timing}),
        Comparison("b", 1_000_000, 1, None, {("int8", "openvino"): timing}),
    ]
    lines = markdown_table(rows).splitlines()
    assert lines[2] == "| a | 1.2 | 220 | 1.3 | 1.5 / 2.0 / 1.8 |  |"
    assert {line.count("|") for line in lines} == {7}


def test_candidates_hold_every_named_network() -> None:
    assert {model.name for model in CANDIDATES.values()} == {
        "edge", "mobilefacenet", "iresnet18", "iresnet34", "iresnet50", "iresnet100"
    }  # fmt: skip
