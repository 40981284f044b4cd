"""`qcface gallery review` and its page."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from qcface_sdk.cli.gallery_actions import review_page
from qcface_sdk.gallery import Gallery

ANN, BOB = (60, 255, 255), (255, 60, 255)


@pytest.fixture
def staff(qcface, draw, tmp_path: Path) -> Path:
    file = tmp_path / "staff.db"
    for name, colour in (("ann", ANN), ("bob <b>", BOB)):
        assert qcface("enroll", file, name, draw(f"{colour[0]}.png", colour), "--keep-crops").code == 0
    return file


def look_over(qcface, bundle: Path, staff: Path, *words: object):
    return qcface("gallery", "review", staff, "--model", bundle, *words)


def test_review_says_what_needs_attention_and_changes_nothing(qcface, draw, bundle, staff: Path) -> None:
    qcface("enroll", staff, "ann-again", draw("again.png", ANN), "--allow-duplicate")
    lines = len(qcface("gallery", "audit", staff, "--json").document["entries"])
    run = look_over(qcface, bundle, staff)
    assert run.code == 0
    assert "3 subjects, 3 templates, all whole" in run.out
    assert "- No backup is noted." in run.out
    assert "ann and ann-again: similarity 1.000" in run.out
    document = look_over(qcface, bundle, staff, "--json").document
    (pair,) = document["doubles"]["found"]
    assert pair == {"first": "ann", "second": "ann-again", "similarity": pytest.approx(1)}
    assert [one["subject"] for one in document["people"]] == ["ann", "ann-again", "bob <b>"]
    assert look_over(qcface, bundle, staff, "--no-doubles", "--json").document["doubles"] is None
    assert len(qcface("gallery", "audit", staff, "--json").document["entries"]) == lines


def test_page_has_everything_and_nothing_biometric(qcface, bundle, poor_bundle, staff: Path, tmp_path: Path) -> None:
    qcface("gallery", "terms", staff, "ann", "--expires", "2001-01-31", "--consent", "form <17>")
    page = tmp_path / "page.html"
    assert look_over(qcface, bundle, staff, "--report", page).code == 0
    text = page.read_text()
    for part in (
        "bob &lt;b&gt;",
        "form &lt;17&gt;",
        "<td>2001-01-31</td>",
        "Time is over: 1 person",
        "<svg",
        "chance alone would give about 1e-05",
        f"key file {staff}.key",
    ):
        assert part in text, part
    assert "<script" not in text
    assert "<img" not in text
    with Gallery.open(staff) as gallery:
        report = gallery.report("ann", vectors=True, crops=True).templates[0]
    for secret in (report["vector"], report["crops"][0]):
        assert secret[:60] not in text
        assert base64.b64decode(secret)[:40].hex() not in text


def test_page_lists_who_is_below_the_gate(qcface, draw, poor_bundle: Path, tmp_path: Path) -> None:
    file, page = tmp_path / "poor.db", tmp_path / "page.html"
    words = ("--model", poor_bundle)
    assert qcface("enroll", file, "ann", draw("a.png", ANN), "--allow-low-quality", *words).code == 0
    run = qcface("gallery", "review", file, "--report", page, "--json", *words)
    assert run.document["below_gate"] == ["ann"]
    section = page.read_text().split("Not known to pass the enrolment gate")[1].split("<h2>")[0]
    assert "<td>ann</td>" in section


def test_long_lists_on_the_page_are_cut_and_say_so(qcface, bundle, staff: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(review_page, "MOST_ROWS", 1)
    page = tmp_path / "page.html"
    look_over(qcface, bundle, staff, "--report", page)
    everybody = page.read_text().split("<h2>Everybody</h2>")[1]
    assert "<td>ann</td>" in everybody
    assert "bob" not in everybody
    assert "And 1 more, see --json" in everybody


def test_review_with_another_model_is_a_gallery_problem(qcface, staff: Path, tmp_path: Path) -> None:
    from tiny_models import tiny_bundle

    run = look_over(qcface, tiny_bundle(tmp_path / "other", seed=1), staff)
    assert run.code == 5
    assert run.out == ""
