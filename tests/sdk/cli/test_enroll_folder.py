"""`qcface gallery enroll-folder` on drawn faces."""

from __future__ import annotations

from pathlib import Path

import pytest

from qcface_sdk.cli import main
from qcface_sdk.gallery import Gallery

ANN, BOB, EVE = (60, 255, 255), (255, 60, 255), (255, 255, 60)


@pytest.fixture
def folder(draw, tmp_path: Path) -> Path:
    """Ann with one picture of Bob among hers and an empty one, Bob, and Bob's double under another id."""
    for name, *colours in (
        ("in/ann/1.png", ANN), ("in/ann/2.png", ANN), ("in/ann/3.png", BOB), ("in/ann/4.png",),
        ("in/bob.png", BOB), ("in/bob2/1.png", BOB), ("in/crowd/1.png", ANN, EVE), ("in/zoë <i>/1.png", EVE),
    ):  # fmt: skip
        draw(name, *colours)
    (tmp_path / "in" / "broken").mkdir()
    (tmp_path / "in" / "broken" / "1.jpg").write_bytes(b"no picture")
    (tmp_path / "in" / "notes.txt").write_text("nobody")
    return tmp_path / "in"


@pytest.fixture
def fill(qcface, bundle: Path, tmp_path: Path, folder: Path):
    def run(*words: object):
        return qcface("gallery", "enroll-folder", tmp_path / "staff.db", folder, "--model", bundle, *words)

    return run


def test_everybody_is_taken_or_refused_with_a_reason(fill, tmp_path: Path, folder: Path) -> None:
    run = fill("--json", "--consent", "form 17", "--keep-crops")
    assert run.code == 3
    people = {one["subject"]: one for one in run.document["people"]}
    assert {name: one["outcome"] for name, one in people.items()} == {
        "ann": "enrolled", "bob": "enrolled", "bob2": "refused", "broken": "refused", "crowd": "refused",
        "zoë <i>": "enrolled",
    }  # fmt: skip
    assert (run.document["enrolled"], run.document["refused"], run.document["known"]) == (3, 3, 0)
    problems = {Path(one["file"]).name: one["problem"] for one in people["ann"]["pictures"]}
    assert (problems["1.png"], problems["2.png"]) == (None, None)
    assert "does not look like the person's other pictures" in problems["3.png"]
    assert "shows no face" in problems["4.png"]
    assert "looks like 'bob'" in people["bob2"]["reason"]
    assert people["broken"]["reason"] == people["crowd"]["reason"] == "no usable picture"
    assert "2 faces of about the same size" in people["crowd"]["pictures"][0]["problem"]
    with Gallery.open(tmp_path / "staff.db", read_only=True) as gallery:
        assert gallery.subjects() == ("ann", "bob", "zoë <i>")
        assert gallery.get("ann")[0].count == 2
        assert {one.consent for one in gallery.people()} == {"form 17"}
        assert gallery.statistics().crops == 4


def test_a_run_started_again_takes_only_who_is_missing(fill, draw, tmp_path: Path) -> None:
    fill()
    draw("in/new.png", (150, 90, 255))
    run = fill("--json", "--allow-duplicate")
    people = {one["subject"]: one for one in run.document["people"]}
    assert [name for name, one in people.items() if one["outcome"] == "known"] == ["ann", "bob", "zoë <i>"]
    assert people["new"]["outcome"] == people["bob2"]["outcome"] == "enrolled"
    assert people["bob2"]["similar_to"] == "bob"
    assert fill("--again", "--allow-duplicate", "--json").document["known"] == 0
    with Gallery.open(tmp_path / "staff.db", read_only=True) as gallery:
        assert len(gallery.get("ann")) == 2


def test_a_run_that_is_cut_off_keeps_whom_it_took(fill, tmp_path: Path, monkeypatch) -> None:
    enroll = Gallery.enroll

    def cut(self, subject, *words, **options):
        if subject == "bob2":
            raise KeyboardInterrupt
        return enroll(self, subject, *words, **options)

    monkeypatch.setattr(Gallery, "enroll", cut)
    assert fill().code == 130
    with Gallery.open(tmp_path / "staff.db", read_only=True) as gallery:
        assert gallery.subjects() == ("ann", "bob")


def test_text_names_every_refusal(fill) -> None:
    run = fill()
    assert "enrolled ann from 2 of 4 pictures" in run.out
    assert "refused crowd: no usable picture" in run.out
    assert run.out.endswith("3 enrolled, 3 refused, 0 known\n")
    assert run.err.count("warning") == 4


def test_page_says_who_was_refused_and_shows_nobody(fill, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    fill("--report", page)
    text = page.read_text()
    assert "3 enrolled, 3 refused, 0 enrolled before" in text
    refused = text.split("<h2>Refused</h2>")[1].split("<h2>")[0]
    assert "<td>bob2</td>" in refused
    assert "<td>crowd</td><td>no usable picture</td>" in refused
    assert "zoë &lt;i&gt;" in text.split("<h2>Enrolled</h2>")[1]
    assert "<svg" in text
    assert "<img" not in text
    assert "<i>" not in text


def test_nobody_refused_is_success(qcface, bundle, draw, tmp_path: Path) -> None:
    draw("fine/ann.png", ANN)
    run = qcface("gallery", "enroll-folder", tmp_path / "staff.db", tmp_path / "fine", "--model", bundle)
    assert run.code == 0


def test_folder_without_people_is_bad_input_and_makes_no_gallery(qcface, bundle, tmp_path: Path) -> None:
    for place in (tmp_path / "none", tmp_path):
        run = qcface("gallery", "enroll-folder", tmp_path / "staff.db", place, "--model", bundle)
        assert run.code == 2
        assert "a folder of pictures for each person" in run.err
    assert not (tmp_path / "staff.db").exists()


def test_id_that_cannot_be_one_is_refused_and_the_rest_goes_on(qcface, bundle, draw, tmp_path: Path) -> None:
    draw("odd/a\nb.png", ANN)
    draw("odd/bob.png", BOB)
    run = qcface("gallery", "enroll-folder", tmp_path / "s.db", tmp_path / "odd", "--model", bundle, "--json")
    assert [one["outcome"] for one in run.document["people"]] == ["refused", "enrolled"]
    assert "without control characters" in run.document["people"][0]["reason"]


def test_below_the_gate_needs_permission(draw, poor_bundle: Path, tmp_path: Path, capsys) -> None:
    draw("fine/ann.png", ANN)
    words = ["gallery", "enroll-folder", str(tmp_path / "s.db"), str(tmp_path / "fine"), "--model", str(poor_bundle)]
    assert main(words) == 3
    assert "pass --allow-low-quality" in capsys.readouterr().err
    assert main([*words, "--allow-low-quality"]) == 0
