from __future__ import annotations

from pathlib import Path

import pytest

from qcface_sdk.gallery import Gallery

ANN, BOB = (60, 255, 255), (255, 60, 255)


@pytest.fixture
def gallery_file(tmp_path: Path) -> Path:
    return tmp_path / "staff.db"


def test_enroll_makes_a_gallery_with_one_fused_template(qcface, draw, gallery_file: Path) -> None:
    run = qcface("enroll", gallery_file, "ann", draw("a.png", ANN), draw("b.png", ANN))
    assert run.code == 0
    assert "enrolled ann" in run.out
    with Gallery.open(gallery_file, read_only=True) as gallery:
        (template,) = gallery.get("ann")
        assert gallery.subjects() == ("ann",)
        assert template.count == 2


def test_enroll_json_is_one_document(qcface, draw, gallery_file: Path) -> None:
    picture = draw("a.png", ANN)
    document = qcface("enroll", gallery_file, "ann", picture, "--json").document
    assert document["enrolled"] is True
    assert document["subject"] == "ann"
    assert document["problems"] == []
    assert [entry["file"] for entry in document["pictures"]] == [str(picture)]


def test_enroll_without_a_face_stores_nothing(qcface, draw, gallery_file: Path) -> None:
    run = qcface("enroll", gallery_file, "ann", draw("a.png", ANN), draw("empty.png"), "--json")
    assert run.code == 3
    assert run.document["enrolled"] is False
    assert "empty.png shows no face" in run.err
    assert not gallery_file.exists()


def test_enroll_two_faces_of_one_size_are_ambiguous(qcface, draw, gallery_file: Path) -> None:
    picture = draw("both.png", ANN, BOB)
    assert qcface("enroll", gallery_file, "ann", picture).code == 3
    assert qcface("enroll", gallery_file, "ann", picture, "--largest").code == 0


def test_enroll_below_the_gate_needs_permission(qcface, draw, poor_bundle: Path, gallery_file: Path) -> None:
    words = ("enroll", gallery_file, "ann", draw("a.png", ANN), "--model", poor_bundle)
    run = qcface(*words)
    assert run.code == 3
    assert "--allow-low-quality" in run.err
    assert qcface(*words, "--allow-low-quality").code == 0


def test_enroll_unreadable_picture_is_bad_input(qcface, gallery_file: Path, tmp_path: Path) -> None:
    assert qcface("enroll", gallery_file, "ann", tmp_path / "none.png").code == 2
    assert not gallery_file.exists()


def test_enroll_into_a_file_that_is_no_gallery_is_a_gallery_problem(qcface, draw, tmp_path: Path) -> None:
    foreign = tmp_path / "notes.txt"
    foreign.write_text("these are notes, not a gallery " * 100)
    run = qcface("enroll", foreign, "ann", draw("a.png", ANN))
    assert run.code == 5
    assert foreign.read_text().startswith("these are notes")


def test_enroll_into_a_gallery_of_another_model_is_a_gallery_problem(
    qcface, draw, gallery_file: Path, tmp_path: Path
) -> None:
    from tiny_models import tiny_bundle

    picture = draw("a.png", ANN)
    assert qcface("enroll", gallery_file, "ann", picture).code == 0
    run = qcface("enroll", gallery_file, "bob", picture, "--model", tiny_bundle(tmp_path / "other", seed=1))
    assert run.code == 5
    assert run.err.count("\n") == 1


def test_enroll_blank_subject_is_bad_input(qcface, draw, gallery_file: Path) -> None:
    assert qcface("enroll", gallery_file, "", draw("a.png", ANN)).code == 2
