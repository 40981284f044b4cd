"""`export/prove.py`: its exit status, and what it leaves beside the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from qcface_export.proof import read_limits
from scripts import load_script
from small_networks import small_network, small_pictures
from tiny_models import tiny_recognizer

Prove = Callable[..., int]


@pytest.fixture
def prove(repository: Path, tmp_path: Path) -> Prove:
    """Run the script on drawn pictures: a reference, a candidate, and further words."""
    script = load_script(repository, "prove")
    (tmp_path / "crops").mkdir()
    for index, crop in enumerate(small_pictures(12)):
        cv2.imwrite(str(tmp_path / "crops" / f"{index:02d}.png"), crop)

    def run(reference: bytes, candidate: bytes, *words: str) -> int:
        for name, data in (("reference.onnx", reference), ("candidate.onnx", candidate)):
            (tmp_path / name).write_bytes(data)
        given = ["--reference", str(tmp_path / "reference.onnx"), "--candidate", str(tmp_path / "candidate.onnx")]
        given += ["--pictures", str(tmp_path / "crops"), "--ladder-faces", "2", "--output", str(tmp_path / "proof")]
        return int(script.main([*given, *words]))

    return run


@pytest.fixture
def limits(tmp_path: Path) -> tuple[str, str]:
    path = tmp_path / "limits.toml"
    path.write_text('[cosine_mean]\nat_least = 0.999\nreason = "patterns, not faces"\nnext_step = "none"\n')
    return "--limits", str(path)


def test_a_proof_is_written_when_all_is_kept_and_removed_by_the_next_failure(
    prove: Prove, limits: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prove(small_network(), small_network(), *limits) == 0
    (proof,) = json.loads((tmp_path / "proof" / "proof.json").read_text())["proofs"]
    assert (proof["artifact"], proof["passed"]) == ("recognizer-int8", True)
    assert prove(small_network(), small_network(seed=1), *limits) == 3
    assert "FAIL cosine_mean" in capsys.readouterr().out
    assert not (tmp_path / "proof" / "proof.json").exists()
    assert json.loads((tmp_path / "proof" / "report.json").read_text())["passed"] is False
    assert "this file must not ship" in (tmp_path / "proof" / "report.html").read_text()


@pytest.mark.parametrize("broken", ["candidate", "limits"])
def test_nothing_of_an_earlier_run_stands_where_a_candidate_cannot_be_judged(
    prove: Prove, limits: tuple[str, str], tmp_path: Path, broken: str
) -> None:
    assert prove(small_network(), small_network(), *limits) == 0
    assert len(list((tmp_path / "proof").iterdir())) == 3
    if broken == "limits":
        Path(limits[1]).write_text("no TOML")
    assert prove(small_network(), small_network() if broken == "limits" else b"no ONNX", *limits) == 1
    assert list((tmp_path / "proof").iterdir()) == []


@pytest.mark.parametrize(
    ("reference", "candidate", "message"),
    [
        (tiny_recognizer(normalised=True), small_network(), "export without the final normalisation"),
        (small_network(), b"no ONNX", "cannot load this model"),
        (small_network(), small_network()[:3000], "cannot load this model"),
        (small_network(), tiny_recognizer(), "embeddings of one size"),
    ],
    ids=["normalised", "no onnx", "cut off", "other size"],
)
def test_what_cannot_be_judged_is_status_1_and_one_line(
    prove: Prove, reference: bytes, candidate: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prove(reference, candidate) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "proof").exists()


def test_a_normalised_candidate_fails_by_its_magnitudes(
    prove: Prove, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prove(small_network(), small_network(normalised=True)) == 3
    out = capsys.readouterr().out
    assert "FAIL norm_bias" in out
    assert "FAIL magnitude_spearman" in out
    assert "FAIL cosine_mean" not in out
    assert "not judged: ladder_spearman_loss_worst (needs 200 damaged faces, got 2), threshold_shift (needs la" in out
    report = json.loads((tmp_path / "proof" / "report.json").read_text())
    assert len(report["not_judged"]) == len(read_limits()) - len(report["figures"])
    assert "Not judged: ladder_spearman_loss_worst" in (tmp_path / "proof" / "report.html").read_text()
