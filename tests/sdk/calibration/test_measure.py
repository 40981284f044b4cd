"""A calibration of labelled embeddings: what it measures, what it refuses, what it says it carried over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qcface_sdk.calibration import Calibration, Comparisons, calibrate
from qcface_sdk.calibration.fused import fit_fused
from qcface_sdk.errors import InputError, NotFiniteError, OptionError, ShapeError
from qcface_sdk.evaluation import operate, score_all_pairs
from qcface_sdk.manifest import FusedStretch, Manifest
from tiny_models import tiny_files, tiny_manifest

MANIFEST: Manifest = tiny_manifest(tiny_files())
BASE = Calibration(
    1, MANIFEST.embedding.contract, "recognizer-fp32", "onnxruntime", MANIFEST.created, "tiny",
    tuple(row for row in MANIFEST.thresholds if row.runtime == "onnxruntime"), (), MANIFEST.quality[0],
)  # fmt: skip


def people(rng: np.random.Generator, count: int, each: int, dimension: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings whose noise falls as their magnitude rises."""
    labels = np.repeat(np.arange(count), each)
    magnitude = rng.uniform(5, 95, len(labels))
    noise = rng.normal(size=(len(labels), dimension)) * (60 / magnitude / np.sqrt(dimension))[:, None]
    directions = rng.normal(size=(count, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rows = directions[labels] + noise
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) * magnitude[:, None], labels


def test_calibrate_measures_thresholds_tail_quality_and_gates(rng: np.random.Generator) -> None:
    embeddings, labels = people(rng, 250, 3)
    made = calibrate(embeddings, labels, BASE, "drawn", replicates=40)
    scores = score_all_pairs(embeddings, labels, tail=0.5)
    for row in made.calibration.thresholds:
        assert row.threshold == operate(scores, row.fmr).threshold
        assert row.impostors == scores.impostor_count
    assert [row.supported for row in made.calibration.thresholds] == [True, True, False, False, False]
    assert made.calibration.tail is not None
    assert len(made.calibration.quality.knots) > 3
    assert made.gates is not None
    probe, enroll = made.gates
    assert made.calibration.quality.probe_gate.fnmr == probe.promise >= probe.fnmr
    assert enroll.minimum > probe.minimum
    assert (made.faces, made.people) == (750, 250)
    (stretch,) = made.calibration.stretches
    assert (stretch.people, stretch.comparisons) == (250, 250 * 249 // 2)


def test_calibrate_says_what_the_counts_do_not_support(rng: np.random.Generator) -> None:
    notes = " ".join(calibrate(*people(rng, 250, 3), BASE, "drawn", replicates=40).notes)
    assert "FMR 1e-06 is refused: it needs 30,000,000 impostor pairs (rule of 30)" in notes
    assert "not even 'below 1e-06' can be said" in notes
    assert "rule of three: 3,000,000" in notes
    assert "Quality and gates speak of FMR 0.001" in notes


def test_calibrate_on_few_people_carries_over_what_it_cannot_measure(rng: np.random.Generator) -> None:
    made = calibrate(*people(rng, 40, 2), BASE, "drawn", replicates=40)
    assert made.calibration.quality.knots == BASE.quality.knots
    assert made.calibration.quality.origin.startswith("carried over, not measured here: ")
    assert made.calibration.tail is None
    assert any("quality map is carried over" in note for note in made.notes)
    assert any("nothing can be extrapolated" in note for note in made.notes)
    assert made.calibration.stretches == ()
    assert any("held to those of single pictures: thresholds for fused templates need 3,000" in n for n in made.notes)


def test_calibrate_on_few_people_carries_over_what_fused_templates_ask(rng: np.random.Generator) -> None:
    entry = FusedStretch(BASE.artifact, BASE.runtime, 0.5, 1.1, (1.05, 1.2), 100, 4950, "drawn before")
    made = calibrate(*people(rng, 40, 2), replace(BASE, stretches=(entry,)), "drawn", replicates=40)
    (carried,) = made.calibration.stretches
    assert carried == replace(entry, origin="carried over, not measured here: drawn before")
    assert any("ask of thresholds is carried over" in note for note in made.notes)


def test_calibrate_uses_damaged_comparisons_for_quality(rng: np.random.Generator) -> None:
    embeddings, labels = people(rng, 40, 3)
    probe = rng.uniform(5, 95, 800)
    similarity = np.where(rng.uniform(0, 100, 800) < probe, 0.95, -0.5)
    damaged = Comparisons.of(similarity, np.full(800, 95.0), probe, rng.integers(0, 40, 800))
    made = calibrate(embeddings, labels, BASE, "drawn", damaged=damaged, replicates=40)
    assert made.calibration.quality.knots != BASE.quality.knots
    assert made.gates is not None


@pytest.mark.parametrize(
    ("embeddings", "labels", "error", "words"),
    [
        (np.ones((1, 8)), [0], InputError, "two faces of one person and two people"),
        (np.eye(8), range(8), InputError, "two faces of one person"),
        (np.eye(8), [0] * 8, InputError, "two people"),
        (np.eye(8), [0, 0, 1, 1, 2, 2, 3, 3], InputError, "support no false match rate at all: 0.01 needs 3,000"),
        (np.full((4, 8), np.nan), [0, 0, 1, 1], NotFiniteError, "NaN or infinity"),
        (np.zeros((4, 8)), [0, 0, 1, 1], NotFiniteError, "zero vectors"),
        (np.ones((4, 8)), [0, 0, 1], ShapeError, "one per face"),
        (np.ones((0, 8)), [], InputError, "got 0 faces"),
    ],
)
def test_calibrate_of_bad_input_is_a_named_error(embeddings, labels, error, words) -> None:
    with pytest.raises(error, match=words):
        calibrate(embeddings, np.array(labels), BASE, "drawn", replicates=20)


@pytest.mark.parametrize("gates", [(-1.0, 50.0), (60.0, 50.0), (10.0, 101.0)])
def test_calibrate_with_impossible_gates_is_refused(gates: tuple[float, float], rng: np.random.Generator) -> None:
    with pytest.raises(OptionError, match="gates must satisfy"):
        calibrate(*people(rng, 40, 2), BASE, "drawn", retry_below=gates[0], enroll_below=gates[1])


def test_fit_fused_has_no_certain_end(rng: np.random.Generator) -> None:
    evidence = rng.uniform(0, 300, 2000)
    similarity = np.where(rng.uniform(0, 320, 2000) < evidence, 0.9, 0.1)
    knots = fit_fused(evidence, similarity, 0.5)
    assert knots[0] == (1e-3, 0.0)
    assert knots[-1][1] < 100
    assert np.interp(150, *zip(*knots, strict=True)) == pytest.approx(100 * 150 / 320, abs=8)
