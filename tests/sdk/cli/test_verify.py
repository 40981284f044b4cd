"""A door script opens on status 0; these tests hold it shut for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

ANN, BOB = (60, 255, 255), (255, 60, 255)


def test_verify_same_person_is_accepted(qcface, draw) -> None:
    run = qcface("verify", draw("a.png", ANN), draw("b.png", ANN))
    assert run.code == 0
    assert run.out.startswith("accept\n")


def test_verify_another_person_is_rejected(qcface, draw) -> None:
    run = qcface("verify", draw("a.png", ANN), draw("b.png", BOB))
    assert run.code == 1
    assert run.out.startswith("reject  (below threshold)\n")


@pytest.mark.parametrize("empty", ["a", "b", "both"])
def test_verify_without_a_face_is_never_accepted(empty: str, qcface, draw) -> None:
    picture_a = draw("a.png", *([] if empty in ("a", "both") else [ANN]))
    picture_b = draw("b.png", *([] if empty in ("b", "both") else [ANN]))
    run = qcface("verify", picture_a, picture_b, "--json")
    assert run.code == 3
    assert run.document["decision"] == "retry"
    assert run.document["reason"] == ["no_face"]
    assert run.document["similarity"] == -1
    advice = {
        "a": ["enrol again with a better picture"],
        "b": ["step in front of the camera and look into it"],
        "both": ["step in front of the camera and look into it", "enrol again with a better picture"],
    }
    assert run.document["advice"] == advice[empty]


def test_verify_faces_below_the_gate_are_never_accepted(qcface, draw, poor_bundle: Path) -> None:
    picture = draw("a.png", ANN)
    run = qcface("verify", picture, picture, "--model", poor_bundle, "--json")
    assert run.code == 3
    assert run.document["reason"] == ["low_quality_a", "low_quality_b"]
    assert run.document["advice"]


def test_verify_advice_is_what_was_seen_in_the_second_picture(qcface, draw, poor_bundle: Path) -> None:
    picture_a, picture_b = draw("a.png", ANN), draw("b.png", ANN)
    (seen,) = qcface("quality", picture_b, "--json").lines
    assert seen["advice"]
    run = qcface("verify", picture_a, picture_b, "--model", poor_bundle, "--json")
    assert run.document["advice"] == [*seen["advice"], "enrol again with a better picture"]
    text = qcface("verify", picture_a, picture_b, "--model", poor_bundle).out.splitlines()
    assert text[0] == "retry  (low quality a, low quality b)"
    assert text[1] == f"advice      {'; '.join(run.document['advice'])}"


def test_verify_in_the_grey_zone_asks_again_and_is_never_accepted(qcface, grey_pair) -> None:
    run = qcface("verify", *grey_pair, "--fmr", "1e-5", "--json")
    document = run.document
    assert run.code == 3
    assert document["decision"] == "retry"
    assert document["reason"] == ["below_threshold", "grey_zone"]
    assert document["similarity"] < document["threshold"]
    assert document["advice"][-1] == "look into the camera once more"


def test_verify_json_is_one_document_of_the_documented_shape(qcface, draw) -> None:
    picture_a, picture_b = draw("a.png", ANN), draw("b.png", ANN)
    document = qcface("verify", picture_a, picture_b, "--fmr", "1e-3", "--json").document
    assert document.keys() == {
        *("file_a", "file_b", "faces_a", "faces_b", "similarity", "threshold", "fmr", "decision", "reason"),
        *("quality_a", "quality_b", "contract", "advice"),
    }
    assert (document["file_a"], document["file_b"]) == (str(picture_a), str(picture_b))
    assert (document["threshold"], document["fmr"]) == (0.3, 1e-3)
    assert document["advice"] == []
    assert document["contract"].startswith("qc1-")


def test_verify_rate_that_was_not_measured_is_a_model_problem(qcface, draw) -> None:
    picture = draw("a.png", ANN)
    run = qcface("verify", picture, picture, "--fmr", "1e-7")
    assert run.code == 4
    assert "no threshold" in run.err


def test_verify_unreadable_picture_is_bad_input(qcface, draw, tmp_path: Path) -> None:
    run = qcface("verify", draw("a.png", ANN), tmp_path / "none.png", "--json")
    assert run.code == 2
    assert run.out == ""
    assert "cannot read" in run.err


@pytest.mark.parametrize(
    "options",
    [("--backend", "abacus"), ("--model", "/nowhere"), ("--precision", "int8")],
    ids=["unknown backend", "missing bundle", "precision not in the bundle"],
)
def test_verify_without_a_model_that_runs_is_a_model_problem(options: tuple[str, str], qcface, draw) -> None:
    picture = draw("a.png", ANN)
    run = qcface("verify", picture, picture, *options)
    assert run.code == 4
    assert run.out == ""


def test_verify_tampered_bundle_is_a_model_problem(qcface, draw, bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for file in bundle.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with (copy / "recognizer.fp32.onnx").open("ab") as file:
        file.write(b"x")
    picture = draw("a.png", ANN)
    run = qcface("verify", picture, picture, "--model", copy)
    assert run.code == 4
    assert "recognizer.fp32.onnx" in run.err


def test_verify_marks_both_pictures(qcface, draw, tmp_path: Path) -> None:
    qcface("verify", draw("x/a.png", ANN), draw("y/a.png", BOB), "--output", tmp_path / "marked")
    assert sorted(file.name for file in (tmp_path / "marked").iterdir()) == ["a-2.png", "a.png"]
