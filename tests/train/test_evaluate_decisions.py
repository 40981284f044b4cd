"""The two measuring scripts of decisions, on drawn embeddings, and their parts by hand."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from qcface_sdk.evaluation import rates_by_group
from qcface_sdk.quality import QualityScale
from qcface_train.evaluation.decision_report import to_markdown, to_page
from qcface_train.evaluation.fusion_study import study_outliers, study_quality, study_rules
from qcface_train.evaluation.tracks import FRAMES, Tracks, fused_similarity
from qcface_train.evaluation.transfer import check_conditioned, check_fused, check_gates, check_thresholds, make_half

TRAIN = Path(__file__).resolve().parents[2] / "train"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"{name}_script", TRAIN / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def drawn(rng: np.random.Generator, people: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of people, the noisier the shorter."""
    labels = np.repeat(np.arange(people), each)
    magnitude = rng.uniform(10, 90, len(labels))
    centres = rng.normal(size=(people, 48))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = centres[labels] + rng.normal(size=(len(labels), 48)) * (60 / magnitude / np.sqrt(48))[:, None]
    return (rows * (magnitude / np.linalg.norm(rows, axis=1))[:, None]).astype(np.float32), labels


@pytest.fixture
def tracks(rng: np.random.Generator) -> tuple[Tracks, np.ndarray]:
    embeddings, labels = drawn(rng, 60, FRAMES + 1)
    rows = np.arange(len(labels)).reshape(60, FRAMES + 1)
    frames = embeddings[rows[:, 1:]]
    return Tracks(frames, rows[:, 0], np.arange(60), np.ones((60, FRAMES)), labels), embeddings


def test_study_rules_compares_like_with_like(tracks: tuple[Tracks, np.ndarray]) -> None:
    figures = study_rules(*tracks, replicates=40)
    assert figures["area"]["fnmr"] == figures["plain mean"]["fnmr"]
    assert figures["magnitude"]["fnmr"] < figures["best shot"]["fnmr"]
    for name in ("best shot", "plain mean"):
        low, high = figures[name]["ratio_interval"]
        assert low <= figures[name]["ratio"] <= high


def test_study_outliers_rejects_the_stranger(tracks: tuple[Tracks, np.ndarray]) -> None:
    figures = study_outliers(*tracks, {"none": -1.0, "some": 0.25})
    assert figures["none"]["with a stranger"]["stranger_kept"] == 1
    assert figures["some"]["with a stranger"]["stranger_kept"] < 0.3
    assert figures["some"]["with a stranger"]["fnmr"] <= figures["none"]["with a stranger"]["fnmr"]


def test_study_quality_has_a_row_for_each_number_of_frames(tracks: tuple[Tracks, np.ndarray]) -> None:
    figures = study_quality(*tracks, QualityScale([(0.0, 0.0), (100.0, 100.0)], [(0.0, 0.0), (400.0, 100.0)]), 0.4)
    assert list(figures) == ["1", "2", "3", "4", "5"]
    assert all((row["fnmr_asked"], row["fmr_asked"]) == (row["measured"], row["fmr"]) for row in figures.values())
    measured = [row["measured"] for row in figures.values()]
    assert measured[-1] < measured[0]
    found = float(np.mean(fused_similarity(tracks[0], tracks[1], FRAMES) < 0.4))
    assert measured[-1] == pytest.approx(found)


def test_checks_hold_on_another_half_of_the_same_kind(rng: np.random.Generator) -> None:
    embeddings, labels = drawn(rng, 500, 3)
    known, other = (make_half(embeddings, labels, part) for part in (np.arange(250), np.arange(250, 500)))
    first = check_thresholds(known, other, replicates=40)[0]
    assert first["supported"]
    assert first["interval"][0] <= 1 <= first["interval"][1]
    assert first["holds"]
    gates = check_gates(known, other, (10.0, 50.0), (1.0, 100.0))
    assert all(0 <= gate["measured"] <= 1 for gate in gates.values())
    for row in check_fused(known, other, ((2, 1), (3, 3)), replicates=20):
        assert row["people"] == 250
        assert row["asked"] <= row["plain"]
        assert row["asked_interval"][0] <= row["asked"] <= row["asked_interval"][1]
        assert row["factor"] >= 1
    found = check_conditioned(known, other)
    assert len(found["conditioned"]["thresholds"]) == 3
    assert 0 <= found["conditioned"]["fmr"] < 1e-2


def test_report_says_all_figures_in_markdown_and_html(rng: np.random.Generator) -> None:
    embeddings, labels = drawn(rng, 300, 3)
    halves = [make_half(embeddings, labels, part) for part in (np.arange(150), np.arange(150, 300))]
    half = {
        "thresholds": check_thresholds(*halves, replicates=20),
        "gates": check_gates(*halves, (10.0, 50.0), (1.0, 100.0)),
        "fused": check_fused(*halves, ((2, 1),), replicates=20),
        "conditioned": check_conditioned(*halves),
    }
    sources = np.where(labels % 2 == 0, "<masks>", "plain")
    groups = [asdict(group) for group in rates_by_group(embeddings, labels, sources, 0.4, replicates=20)]
    figures = {"model": "m", "people": [150, 150], "halves": {"a to b": half}, "held_out": {"rates": {"0.001": groups}}}
    text, page = to_markdown(figures), to_page(figures)
    assert "| plain | 150 |" in text
    assert f"| {half['fused'][0]['plain']:.2f} |" in text
    assert "&lt;masks&gt;" in page
    assert "<masks>" not in page
    for title in ("Thresholds", "Gates", "Fused templates at FMR 1e-3", "at the threshold of FMR 0.001"):
        assert title in text
        assert title in page


@pytest.mark.parametrize("name", ["evaluate_fusion", "evaluate_decisions"])
def test_script_without_data_is_one_sentence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--model", str(tmp_path / "none"), "--lfw", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    assert script(name).main(arguments) == 1
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
