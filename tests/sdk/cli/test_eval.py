"""`qcface eval edc`: the curve is that of the library, and another tool's scores are matched to the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcface_sdk import FaceEngine
from qcface_sdk.evaluation import operate, pair_quality, score_all_pairs, trace_edc


@pytest.fixture
def faces(bundle: Path, tmp_path: Path, rng: np.random.Generator) -> Path:
    """Embeddings whose noise falls as their magnitude rises."""
    magnitude = rng.uniform(5, 55, 240)
    directions = np.repeat(rng.normal(size=(80, 512)) / np.sqrt(512), 3, axis=0)
    rows = directions + rng.normal(size=(240, 512)) * (70 / magnitude / np.sqrt(512))[:, None]
    rows *= (magnitude / np.linalg.norm(rows, axis=1))[:, None]
    file = tmp_path / "faces.npz"
    contract = FaceEngine(model=bundle).contract
    np.savez(file, embeddings=rows.astype(np.float32), labels=np.repeat(np.arange(80), 3), contract=contract)
    return file


def test_eval_edc_gives_the_curve_of_the_library(qcface, faces: Path, bundle: Path, tmp_path: Path) -> None:
    page = tmp_path / "edc.html"
    run = qcface("eval", "edc", faces, "--fmr", "1e-2", "--report", page, "--json", "--model", bundle)
    assert run.code == 0, run.err
    found = run.document
    rows = np.load(faces)["embeddings"]
    scores = score_all_pairs(rows, np.load(faces)["labels"], tail=0.1)
    at = operate(scores, 1e-2)
    curve = trace_edc(scores.genuine, pair_quality(np.linalg.norm(rows, axis=1), scores.genuine_pairs), at.threshold)
    assert found["fnmr"] == pytest.approx(at.fnmr)
    assert found["measures"]["magnitude"]["factor_at_10_percent"] == pytest.approx(curve.factor_at(0.1), abs=1e-3)
    assert found["measures"]["magnitude"]["factor_at_10_percent"] < 1
    assert "<svg" in page.read_text()


def test_eval_edc_with_scores_of_another_tool_correlates_them(
    qcface, faces: Path, bundle: Path, tmp_path: Path
) -> None:
    magnitude = np.linalg.norm(np.load(faces)["embeddings"], axis=1)
    table = tmp_path / "other.csv"
    table.write_text("file,score\n" + "".join(f"row {row},{-value}\n" for row, value in enumerate(magnitude)))
    arguments = ("eval", "edc", faces, "--fmr", "1e-2", "--scores", table, "--model", bundle)
    run = qcface(*arguments)
    assert run.code == 0, run.err
    assert "rank correlation of magnitude with other: -1.000" in run.out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,score\na,1\n", "columns file and score"),
        ("file,score\nrow 0,good\n", "scores must be numbers"),
        ("file,score\nrow 0,1\n", "has no score for"),
        ("", "columns file and score"),
    ],
)
def test_eval_edc_with_a_bad_table_names_the_fault(
    text: str, words: str, qcface, faces: Path, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.csv").write_text(text)
    run = qcface("eval", "edc", faces, "--fmr", "1e-2", "--scores", tmp_path / "other.csv", "--model", bundle)
    assert run.code == 2
    assert words in run.err


def test_eval_edc_beyond_the_counts_is_refused(qcface, faces: Path, bundle: Path) -> None:
    run = qcface("eval", "edc", faces, "--fmr", "1e-5", "--model", bundle)
    assert run.code == 2
    assert "do not support FMR 1e-05" in run.err
