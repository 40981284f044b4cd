from __future__ import annotations

import csv
import os
import re
from html import unescape
from pathlib import Path

import cv2
import numpy as np
import pytest

from qcface_sdk.cli import quality_page
from qcface_sdk.image import read_image

ANN, BOB = (60, 255, 255), (255, 60, 255)


def test_quality_json_is_one_line_per_face_best_first(qcface, draw) -> None:
    run = qcface("quality", draw("b.png", BOB), draw("both.png", ANN, BOB), "--json")
    assert run.code == 0
    assert run.err == ""
    assert len(run.lines) == 3
    qualities = [line["quality"] for line in run.lines]
    assert qualities == sorted(qualities, reverse=True)
    for line in run.lines:
        assert 0 <= line["quality"] <= 100
        assert 0 <= line["recognizability"] <= 1
        assert line["magnitude"] > 0
        assert line["usable"] is True
        assert len(line["advice"]) <= len(line["reasons"])


def test_quality_below_the_gate_is_marked_retry(qcface, draw, poor_bundle: Path) -> None:
    run = qcface("quality", draw("a.png", ANN), "--model", poor_bundle)
    assert run.code == 0
    assert run.out.splitlines()[-1].split()[7] == "retry"


def test_quality_without_a_face_asks_to_retry_and_says_where(qcface, draw) -> None:
    run = qcface("quality", draw("a.png", ANN), draw("empty.png"), "--json")
    assert run.code == 3
    assert "error" in run.lines[1]
    assert "empty.png shows no face" in run.err


def test_quality_csv_holds_the_table(qcface, draw, tmp_path: Path) -> None:
    table = tmp_path / "quality.csv"
    assert qcface("quality", draw("both.png", ANN, BOB), "--csv", table).code == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"file", "face", "quality", "recognizability", "magnitude", "size", "reasons"} <= rows[0].keys()
    assert float(rows[0]["size"]) == 80


def test_quality_csv_into_a_missing_folder_is_bad_input(qcface, draw, tmp_path: Path) -> None:
    run = qcface("quality", draw("a.png", ANN), "--csv", tmp_path / "none" / "q.csv")
    assert run.code == 2
    assert "No such file or directory" in run.err


def test_quality_says_what_is_wrong_with_a_picture_and_what_to_change(qcface, draw) -> None:
    run = qcface("quality", draw("flat.png", ANN), "--json")
    (line,) = run.lines
    # A plain blob has no grey levels to speak of and no detail.
    assert "low_contrast" in line["reasons"]
    assert line["advice"]
    assert "low contrast" in qcface("quality", draw("flat.png", ANN)).out


def test_quality_output_holds_sheet_page_and_marked_pictures(qcface, draw, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = qcface("quality", draw("b.png", BOB), draw("both.png", ANN, BOB), draw("empty.png"), "--output", out)
    assert run.code == 3
    assert {file.name for file in out.iterdir()} == {
        *("contact-sheet.png", "quality.html", "b.png", "both.png", "empty.png")
    }
    page = (out / "quality.html").read_text()
    assert re.findall(r"<img src='([^']*)'", page) == ["contact-sheet.png"]
    assert "3 faces, 0 below the gate" in page
    assert "empty.png shows no face" in page
    # The page's rows are the JSON's lines, in that order.
    listed = qcface("quality", draw("b.png", BOB), draw("both.png", ANN, BOB), "--json").lines
    rows = [unescape(row).split("</td><td>") for row in re.findall(r"<tr><td>(.*?)</td></tr>", page)]
    assert [(row[0], int(row[1]), float(row[2])) for row in rows] == [
        (line["file"], line["face"], pytest.approx(line["quality"], abs=0.05)) for line in listed
    ]


def test_quality_sheet_shows_the_aligned_faces_best_first(qcface, draw, tmp_path: Path, bundle: Path) -> None:
    from qcface_sdk import FaceEngine

    picture = draw("both.png", ANN, BOB)
    assert qcface("quality", picture, "--output", tmp_path / "out").code == 0
    sheet = read_image(tmp_path / "out" / "contact-sheet.png")
    with FaceEngine(model=bundle) as engine:
        image = read_image(picture)
        faces = sorted(engine.get(image), key=lambda face: -(face.quality or 0))
        crops = [engine.align(image, face.kps)[0] for face in faces]
    size = quality_page._PICTURE_HEIGHT
    places = [sheet[:, number * 240 + 36 + 22 :][:, :size] for number in range(2)]
    for crop, place in zip(crops, places, strict=True):
        large = cv2.resize(crop, (size, size), interpolation=cv2.INTER_CUBIC)
        # Where a tile begins is the sheet's own business; that the picture is in it is not.
        assert cv2.matchTemplate(place, large, cv2.TM_SQDIFF_NORMED).min() < 1e-3


def test_quality_more_faces_than_a_sheet_holds_fill_several(
    qcface, draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality_page, "FACES_PER_SHEET", 2)
    out = tmp_path / "out"
    assert qcface("quality", draw("contact-sheet.png", ANN), draw("both.png", ANN, BOB), "--output", out).code == 0
    # A picture that was called like a sheet keeps its name.
    assert np.array_equal(read_image(out / "contact-sheet.png").shape, (320, 480, 3))
    assert re.findall(r"<img src='([^']*)'", (out / "quality.html").read_text()) == [
        "contact-sheet-2.png",
        "contact-sheet-3.png",
    ]


def test_quality_page_of_odd_file_names_is_text_and_safe(qcface, draw, tmp_path: Path) -> None:
    markup = draw("a<b>&.png", ANN)
    broken = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        broken.write_bytes(markup.read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    assert qcface("quality", markup, broken, "--output", tmp_path / "out", "--json").code == 0
    page = (tmp_path / "out" / "quality.html").read_text()
    assert "a<b>" not in page
    assert "a<b>&.png" in unescape(page)
    assert "caf?.png" in page


def test_quality_of_no_face_at_all_still_writes_the_page(qcface, draw, tmp_path: Path) -> None:
    assert qcface("quality", draw("empty.png"), "--output", tmp_path / "out").code == 3
    assert "0 faces" in (tmp_path / "out" / "quality.html").read_text()
    assert not (tmp_path / "out" / "contact-sheet.png").exists()
