from __future__ import annotations

from pathlib import Path

import pytest

ANN, BOB, EVE = (60, 255, 255), (255, 60, 255), (255, 255, 220)


@pytest.fixture
def staff(qcface, draw, tmp_path: Path) -> Path:
    file = tmp_path / "staff.db"
    for name, colour in (("ann", ANN), ("bob", BOB)):
        assert qcface("enroll", file, name, draw(f"{name}.png", colour)).code == 0
    return file


def test_identify_enrolled_person_is_accepted_by_name(qcface, draw, staff: Path) -> None:
    run = qcface("identify", staff, draw("door.png", ANN))
    assert run.code == 0
    assert "accept  ann" in run.out
    assert "bob  below threshold" in run.out


def test_identify_stranger_is_rejected(qcface, draw, staff: Path) -> None:
    run = qcface("identify", staff, draw("door.png", EVE), "--json")
    assert run.code == 1
    (line,) = run.lines
    assert line["subject"] is None
    assert line["decision"] == "reject"
    assert [candidate["subject"] for candidate in line["candidates"]] == ["bob", "ann"]


def test_identify_json_is_one_line_per_face_of_the_documented_shape(qcface, draw, staff: Path) -> None:
    run = qcface("identify", staff, draw("door.png", ANN, BOB), "--all-faces", "--top", "1", "--json")
    assert run.code == 0
    assert {line["subject"] for line in run.lines} == {"ann", "bob"}
    for number, line in enumerate(run.lines, 1):
        assert line.keys() == {
            *(
                "file",
                "face",
                "quality",
                "bbox",
                "fmr",
                "fpir",
                "extrapolated",
                "subject",
                "decision",
                "reason",
                "threshold",
                "contract",
            ),
            "candidates",
            "advice",
        }
        assert line["advice"] == []
        assert line["face"] == number
        assert len(line["candidates"]) == 1


def test_identify_without_a_face_asks_to_retry(qcface, draw, staff: Path) -> None:
    run = qcface("identify", staff, draw("empty.png"), "--json")
    assert run.code == 3
    assert run.lines[0]["reason"] == ["no_face"]
    assert run.lines[0]["face"] is None
    assert run.lines[0]["advice"] == ["step in front of the camera and look into it"]


def test_identify_below_the_gate_is_never_accepted(qcface, draw, staff: Path, poor_bundle: Path) -> None:
    run = qcface("identify", staff, draw("door.png", ANN), "--model", poor_bundle, "--json")
    assert run.code == 3
    assert run.lines[0]["reason"] == ["low_quality_a"]
    (seen,) = qcface("quality", draw("door.png", ANN), "--json").lines
    assert seen["advice"]
    assert run.lines[0]["advice"] == seen["advice"]
    text = qcface("identify", staff, draw("door.png", ANN), "--model", poor_bundle).out
    assert f"    advice: {'; '.join(seen['advice'])}\n" in text


def test_identify_in_the_grey_zone_asks_again_and_names_nobody(qcface, tmp_path: Path, grey_pair) -> None:
    ann, visitor = grey_pair
    file = tmp_path / "staff.db"
    assert qcface("enroll", file, "ann", ann).code == 0
    for rate in ("--fmr", "--fpir"):
        run = qcface("identify", file, visitor, rate, "1e-5", "--json")
        assert run.code == 3
        (line,) = run.lines
        assert (line["subject"], line["decision"]) == (None, "retry")
        assert line["reason"] == ["below_threshold", "grey_zone"]
        assert line["advice"][-1] == "look into the camera once more"


def test_identify_several_pictures_need_all_to_be_accepted(qcface, draw, staff: Path) -> None:
    ann, eve, empty = draw("1.png", ANN), draw("2.png", EVE), draw("3.png")
    assert qcface("identify", staff, ann, ann).code == 0
    assert qcface("identify", staff, ann, empty).code == 3
    assert qcface("identify", staff, ann, empty, eve).code == 1
    assert qcface("identify", staff, ann, empty, eve, "/none.png").code == 2


def test_identify_in_a_missing_gallery_makes_none(qcface, draw, tmp_path: Path) -> None:
    run = qcface("identify", tmp_path / "none.db", draw("door.png", ANN))
    assert run.code == 5
    assert "qcface enroll" in run.err
    assert not (tmp_path / "none.db").exists()


def test_identify_in_an_emptied_gallery_is_rejected(qcface, draw, staff: Path) -> None:
    for name in ("ann", "bob"):
        assert qcface("gallery", "remove", staff, name).code == 0
    run = qcface("identify", staff, draw("door.png", ANN), "--json")
    assert run.code == 1
    assert run.lines[0]["reason"] == ["empty_gallery"]


def test_identify_marks_copies(qcface, draw, staff: Path, tmp_path: Path) -> None:
    qcface("identify", staff, draw("door.png", ANN), draw("empty.png"), "--output", tmp_path / "marked")
    assert sorted(file.name for file in (tmp_path / "marked").iterdir()) == ["door.png", "empty.png"]
