from __future__ import annotations

from pathlib import Path

import numpy as np

from qcface_sdk.image import read_image

ANN, BOB = (60, 255, 255), (255, 60, 255)


def test_detect_json_is_one_line_per_picture_and_nothing_else(qcface, draw) -> None:
    one, two = draw("one.png", ANN), draw("two.png", ANN, BOB)
    run = qcface("detect", one, two, "--json")
    assert run.code == 0
    assert run.err == ""
    first, second = run.lines
    assert (first["file"], first["width"], first["height"]) == (str(one), 480, 320)
    assert (len(first["faces"]), len(second["faces"])) == (1, 2)
    assert first["faces"][0]["bbox"] == [72.0, 104.0, 152.0, 184.0]
    assert first["faces"][0]["quality"] is None


def test_detect_prints_boxes_for_people(qcface, draw) -> None:
    run = qcface("detect", draw("one.png", ANN))
    assert run.code == 0
    assert "480 x 320  1 face\n" in run.out
    assert "box 72,104 to 152,184  80 x 80 px" in run.out


def test_detect_without_any_face_asks_to_retry(qcface, draw) -> None:
    run = qcface("detect", draw("empty.png"))
    assert run.code == 3
    assert "0 faces" in run.out


def test_detect_with_a_face_somewhere_is_done(qcface, draw) -> None:
    assert qcface("detect", draw("empty.png"), draw("one.png", ANN)).code == 0


def test_detect_unreadable_picture_is_named_and_the_rest_is_worked_on(qcface, draw, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no picture")
    run = qcface("detect", text, draw("one.png", ANN), "--json")
    assert run.code == 2
    assert run.lines[0]["error"]["type"] == "ImageReadError"
    assert len(run.lines[1]["faces"]) == 1
    assert run.err.startswith(f"qcface: error: {text} is not a picture")


def test_detect_folder_marks_copies_and_leaves_the_pictures(qcface, draw, tmp_path: Path) -> None:
    picture = draw("in/one.png", ANN)
    before = picture.read_bytes()
    run = qcface("detect", picture.parent, "--output", tmp_path / "marked")
    assert run.code == 0
    assert picture.read_bytes() == before
    assert not np.array_equal(read_image(tmp_path / "marked" / "one.png"), read_image(picture))


def test_detect_empty_folder_is_bad_input(qcface, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    run = qcface("detect", tmp_path / "none")
    assert run.code == 2
    assert "holds no picture" in run.err


def test_detect_output_over_a_file_is_bad_input(qcface, draw) -> None:
    picture = draw("one.png", ANN)
    run = qcface("detect", picture, "--output", picture)
    assert run.code == 2
    assert run.err == f"qcface: error: {picture}: File exists\n"


def test_detect_missing_detector_is_a_model_problem(qcface, draw, tmp_path: Path) -> None:
    run = qcface("detect", draw("one.png", ANN), "--detector", tmp_path / "none.onnx")
    assert run.code == 4
    assert "cannot read detector" in run.err
