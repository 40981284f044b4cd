"""The kernel comparisons: both sides do the same work, and faiss may be absent."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from qcface_sdk._native import match
from qcface_sdk.benchmark import kernels
from qcface_sdk.benchmark.kernels import (
    FAISS_INSTALL,
    Comparison,
    compare_alignment,
    compare_decoding,
    compare_letterbox,
    compare_search,
    search_int8,
)


@pytest.mark.parametrize("compare", [compare_alignment, compare_letterbox, compare_decoding])
def test_compare_one_repeat_measures_both_sides(compare: object) -> None:
    row = compare(1)  # type: ignore[operator]
    assert row.ours_ms > 0
    assert row.reference_ms is not None
    assert row.ratio == pytest.approx(row.ours_ms / row.reference_ms)
    assert json.loads(json.dumps(row.to_dict()))["name"] == row.name


def test_compare_decoding_finds_every_face_on_both_sides() -> None:
    assert compare_decoding(1).note == "20 faces, 20 by NumPy"


def test_compare_search_without_faiss_names_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    row = compare_search(300, repeats=1, probes=2)
    assert (row.reference_ms, row.ratio, row.note) == (None, None, FAISS_INSTALL)
    assert row.ours_ms > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compare_search_with_faiss_agrees_on_the_best_row() -> None:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    row = compare_search(3000, repeats=1, probes=20)
    assert row.note == "same best row for 20 of 20 random probes"
    assert row.ratio is not None


def test_compare_kernels_runs_every_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    for name in ("compare_alignment", "compare_letterbox", "compare_decoding"):
        monkeypatch.setattr(kernels, name, lambda repeats, name=name: ran.append(name))
    monkeypatch.setattr(kernels, "compare_search", lambda rows, repeats, probes: ran.append(rows))
    assert kernels.compare_kernels(quick=True) == (None,) * 4
    assert ran == ["compare_alignment", "compare_letterbox", "compare_decoding", 50_000]


def test_search_int8_equals_the_float_winner(rng: np.random.Generator) -> None:
    rows = rng.standard_normal((5000, 64)).astype(np.float32)
    asked = rng.standard_normal((30, 64)).astype(np.float32)
    codes, scales = np.empty(rows.shape, np.int8), np.empty(len(rows), np.float32)
    match.quantize_rows(rows, codes, scales)
    np.testing.assert_array_equal(search_int8(rows, codes, scales, asked), (asked @ rows.T).argmax(axis=1))


def test_comparison_is_frozen() -> None:
    row = Comparison("a", 1.0, "b", 2.0, 0.5, None, "")
    with pytest.raises(AttributeError):
        row.ours_ms = 2.0  # type: ignore[misc]
